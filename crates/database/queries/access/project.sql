-- Whether the caller has a permission in a project. $1 project, $2 permission
SELECT $1::uuid IN (SELECT ops.my_projects($2)) AS may

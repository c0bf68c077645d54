-- The names of the projects in which the caller has a permission. $1 permission, or null for all
SELECT p.name FROM ops.projects p
WHERE $1::text IS NULL OR p.id IN (SELECT ops.my_projects($1))
ORDER BY p.name

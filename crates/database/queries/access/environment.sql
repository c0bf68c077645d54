-- Whether the caller has a permission in an environment, and whether it is one of production. $1 environment,
-- $2 permission
SELECT e.stage = 'production' AS production, e.id IN (SELECT ops.my_environments($2)) AS may
FROM ops.environments e WHERE e.id = $1

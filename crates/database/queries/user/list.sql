-- $1 after this login or null, $2 at most
SELECT id, login, operator, disabled_at, created_at FROM ops.users
WHERE $1::text IS NULL OR login > $1
ORDER BY login LIMIT $2

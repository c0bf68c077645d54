-- $1 after this name or null, $2 at most
SELECT id, name, created_at FROM ops.projects
WHERE $1::text IS NULL OR name > $1
ORDER BY name LIMIT $2

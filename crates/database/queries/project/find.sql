-- $1 name, $2 id or null
SELECT id, name, created_at FROM ops.projects WHERE name = $1 OR id = $2
ORDER BY (id = $2) IS TRUE DESC LIMIT 1

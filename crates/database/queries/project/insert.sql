-- $1 id, $2 name
INSERT INTO ops.projects (id, name) VALUES ($1, $2) RETURNING id, name, created_at

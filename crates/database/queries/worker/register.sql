-- $1 id if it is new, $2 name, $3 version
INSERT INTO ops.workers AS w (id, name, version) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, registered_at = now(), seen_at = now(), gone_at = NULL
RETURNING w.id

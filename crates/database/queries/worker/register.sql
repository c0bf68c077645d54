-- $1 id if it is new, $2 name, $3 version, $4 kinds or null for all, $5 labels
INSERT INTO ops.workers AS w (id, name, version, kinds, labels) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, kinds = excluded.kinds, labels = excluded.labels,
                                 registered_at = now(), seen_at = now(), gone_at = NULL
RETURNING w.id

-- $1 id, $2 kind, $3 worker
INSERT INTO ops.clusters (id, kind, state, worker_id) VALUES ($1, $2, 'creating', $3)
ON CONFLICT (id) DO NOTHING

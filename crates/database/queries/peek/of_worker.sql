-- $1 worker
SELECT id, state FROM ops.peeks WHERE worker_id = $1 AND state IN ('open', 'ending') ORDER BY id

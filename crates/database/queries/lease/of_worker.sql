-- $1 worker
SELECT l.run_id, w.name AS worker, r.losses
FROM ops.leases l JOIN ops.workers w ON w.id = l.worker_id JOIN ops.runs r ON r.id = l.run_id
WHERE l.worker_id = $1
ORDER BY l.run_id
FOR UPDATE OF l

-- One lease whose worker was not heard of in time.
SELECT l.run_id, w.name AS worker, r.losses
FROM ops.leases l JOIN ops.workers w ON w.id = l.worker_id JOIN ops.runs r ON r.id = l.run_id
WHERE l.expires_at < now()
ORDER BY l.expires_at
LIMIT 1
FOR UPDATE OF l SKIP LOCKED

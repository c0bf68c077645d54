-- The run of a lease that is still held, locked with it. $1 run, $2 fence
SELECT r.id, r.kind, r.tenant_id, r.project_id, r.build_id, r.snapshot_id, r.restore_id, r.started_at, l.worker_id
FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id
WHERE l.run_id = $1 AND l.fence = $2
FOR UPDATE OF l, r

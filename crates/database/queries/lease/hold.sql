-- The run of a lease that is still held, locked with it. $1 run, $2 fence
SELECT id, kind, tenant_id, project_id, build_id, snapshot_id, restore_id, started_at, worker_id, attempts,
       max_attempts, cancel_requested
FROM ops.hold_run($1, $2)

-- $1 tenant or null, $2 state or null, $3 at most
SELECT id, kind, state, project_id, project, tenant_id, tenant, build_id, snapshot_id, restore_id, payload, request_hash,
       attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at, started_at, ended_at
FROM ops.run_details
WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR state = $2)
ORDER BY id DESC LIMIT $3

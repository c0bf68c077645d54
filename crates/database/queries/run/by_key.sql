-- $1 requester, $2 idempotency key
SELECT id, kind, state, project_id, project, tenant_id, tenant, build_id, snapshot_id, restore_id, payload, request_hash,
       attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at, started_at, ended_at, environment,
       sha, ref, metadata, priority, approval, max_attempts, run_at, labels
FROM ops.run_details
WHERE requester = $1 AND idempotency_key = $2

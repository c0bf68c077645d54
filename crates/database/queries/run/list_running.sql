-- As list, of those under way.
-- $1 before this id, $2 at most, $3 project or null, $4 kind or null
SELECT id, kind, state, project_id, project, tenant_id, tenant, build_id, snapshot_id, restore_id, payload, request_hash,
       attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at, started_at, ended_at, environment,
       sha, ref, metadata, priority, approval, max_attempts, run_at, labels
FROM ops.run_details
WHERE id = ANY (ARRAY(
    SELECT l.run_id FROM ops.leases l
    WHERE l.run_id < $1 AND ($3::uuid IS NULL OR l.project_id = $3) AND ($4::text IS NULL OR l.kind = $4)
    ORDER BY l.run_id DESC LIMIT $2))
ORDER BY id DESC

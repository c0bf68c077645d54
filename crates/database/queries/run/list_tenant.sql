-- As list, of one tenant.
-- $1 before this id, $2 at most, $3 project or null, $4 kind or null, $5 state or null, $6 tenant
SELECT id, kind, state, project_id, project, tenant_id, tenant, build_id, snapshot_id, restore_id, payload, request_hash,
       attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at, started_at, ended_at, environment,
       sha, ref, metadata, priority, approval, max_attempts, run_at, labels
FROM ops.run_details
WHERE id = ANY (ARRAY(
    SELECT r.id FROM ops.runs r
    WHERE r.tenant_id = $6::uuid AND r.id < $1 AND ($3::uuid IS NULL OR r.project_id = $3)
      AND ($4::text IS NULL OR r.kind = $4)
      AND ($5::text IS NULL OR $5 = CASE WHEN EXISTS (SELECT FROM ops.leases l WHERE l.run_id = r.id) THEN 'running'
                                         ELSE r.state END)
    ORDER BY r.id DESC LIMIT $2))
ORDER BY id DESC

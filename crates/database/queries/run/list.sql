-- Newest first: the newest few of each project that is seen, and of those the newest.
-- $1 before this id, $2 at most, $3 project or null, $4 kind or null, $5 state or null; of those queued or under way see
-- list_queued and list_running
SELECT id, kind, state, project_id, project, tenant_id, tenant, build_id, snapshot_id, restore_id, payload, request_hash,
       attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at, started_at, ended_at, environment,
       sha, ref, metadata, priority, approval, max_attempts, run_at, labels
FROM ops.run_details
WHERE id = ANY (ARRAY(
    SELECT n.id
    FROM ops.projects p
    CROSS JOIN LATERAL (
        SELECT r.id FROM ops.runs r
        WHERE r.project_id = p.id AND r.id < $1 AND ($4::text IS NULL OR r.kind = $4)
          AND ($5::text IS NULL OR r.state = $5)
        ORDER BY r.id DESC LIMIT $2
    ) n
    WHERE $3::uuid IS NULL OR p.id = $3
    ORDER BY n.id DESC LIMIT $2))
ORDER BY id DESC

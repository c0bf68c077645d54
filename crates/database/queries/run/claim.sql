-- Takes the oldest queued run of a kind whose tenant nobody works on, under a new lease.
-- $1 worker, $2 kinds, $3 the lease in seconds. No row: nothing to do. claimed false: another worker was
-- quicker with the same tenant; look again.
WITH picked AS (
    SELECT id, tenant_id FROM ops.runs
    WHERE id = ANY (ARRAY(
        SELECT r.id FROM ops.runs r
        WHERE r.state = 'queued' AND r.kind = ANY ($2::text[])
          AND NOT EXISTS (SELECT FROM ops.leases l WHERE l.tenant_id = r.tenant_id)
        ORDER BY r.background, r.queued_at, r.id
        LIMIT 1
        FOR UPDATE OF r SKIP LOCKED))
), leased AS (
    INSERT INTO ops.leases (run_id, tenant_id, worker_id, fence, expires_at)
    SELECT id, tenant_id, $1, nextval('ops.fences'), now() + make_interval(secs => $3) FROM picked
    ON CONFLICT DO NOTHING
    RETURNING run_id, fence
), claimed AS (
    UPDATE ops.runs r
    SET state = 'running', attempts = r.attempts + 1, fence = leased.fence, started_at = now(), progress = NULL
    FROM leased
    WHERE r.id = leased.run_id
    RETURNING r.id, r.fence
)
SELECT picked.id, claimed.fence, claimed.id IS NOT NULL AS claimed
FROM picked LEFT JOIN claimed ON claimed.id = picked.id

-- $1 run, $2 fence, $3 seconds from now
WITH extended AS (
    UPDATE ops.leases SET expires_at = now() + make_interval(secs => $3)
    WHERE run_id = $1 AND fence = $2
    RETURNING run_id, worker_id
)
SELECT r.cancel_requested, e.worker_id FROM extended e JOIN ops.runs r ON r.id = e.run_id

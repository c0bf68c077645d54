-- $1 at most, $2 seconds to begin, $3 seconds of silence, $4 seconds to stop after the deadline, $5 all of this worker's
SELECT run_id, fence, why, kind, worker, losses, attempts, max_attempts, extract(epoch FROM deadline)::float8 AS deadline
FROM ops.lost_leases($1, make_interval(secs => $2), make_interval(secs => $3), make_interval(secs => $4), $5)

-- $1 runs, $2 fences, $3 which have begun, $4 seconds from now
SELECT run, stop, worker FROM ops.heartbeats($1, $2, $3, make_interval(secs => $4))

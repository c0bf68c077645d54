-- $1 worker, $2 kinds, $3 at most, $4 the lease in seconds, $5 how many of them may be previews
SELECT run, kind, tenant, fence, attempt, metadata
FROM ops.claim_next_run($1, $2, $3, make_interval(secs => $4), $5)

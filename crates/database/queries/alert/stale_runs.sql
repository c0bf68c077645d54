-- Held past the lease's end, silent though the worker lives, or taken back before. $1 now, $2 silent for seconds,
-- $3 past the end by seconds
SELECT r.id, r.kind, r.project_id, w.name AS worker, r.losses,
       GREATEST(extract(epoch FROM $1::timestamptz - GREATEST(l.claimed_at,
           (SELECT max(e.at) FROM ops.run_events e WHERE e.run_id = r.id))), 0)::double precision AS silent
FROM ops.leases l
JOIN ops.runs r ON r.id = l.run_id
JOIN ops.workers w ON w.id = l.worker_id
WHERE r.losses > 0
   OR l.expires_at < $1 - make_interval(secs => $3)
   OR (l.claimed_at < $1 - make_interval(secs => $2)
       AND NOT EXISTS (SELECT FROM ops.run_events e
                       WHERE e.run_id = r.id AND e.at >= $1 - make_interval(secs => $2)))
ORDER BY r.id LIMIT 200

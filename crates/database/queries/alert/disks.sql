-- As reported within the last $2 seconds. $1 now
SELECT w.name AS worker, d.place, d.total, d.free
FROM ops.worker_disks d JOIN ops.workers w ON w.id = d.worker_id
WHERE d.observed_at > $1::timestamptz - make_interval(secs => $2)
ORDER BY w.name, d.place LIMIT 1000

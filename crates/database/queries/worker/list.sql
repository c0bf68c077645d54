SELECT w.id, w.name, w.version, w.seen_at, w.gone_at, w.kinds, w.labels, w.draining_at,
       (SELECT count(*) FROM ops.leases l WHERE l.worker_id = w.id) AS runs
FROM ops.workers w ORDER BY w.name

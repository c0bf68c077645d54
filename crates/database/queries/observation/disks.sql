-- $1 worker, then one array each: $2 places, $3 total, $4 free
INSERT INTO ops.worker_disks AS d (worker_id, place, total, free)
SELECT $1, s.place, s.total, s.free FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS s (place, total, free)
ON CONFLICT (worker_id, place) DO UPDATE SET total = excluded.total, free = excluded.free, observed_at = now()

-- Those to look at: their instant has come, or the clock has gone back since it was worked out.
-- $1 now, $2 by how many seconds a clock may differ
SELECT id FROM ops.schedules
WHERE enabled AND (next_at <= $1 OR planned_at > $1::timestamptz + make_interval(secs => $2))
ORDER BY next_at, id LIMIT 1000

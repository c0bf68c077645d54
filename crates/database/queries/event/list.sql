-- $1 run, $2 after this id, $3 not recorded before then
SELECT id, at, level, message, progress, payload FROM ops.run_events
WHERE run_id = $1 AND id > $2 AND recorded_at >= $3
ORDER BY id LIMIT 1000

-- $1 run, $2 after this id
SELECT id, at, level, message, progress FROM ops.run_events
WHERE run_id = $1 AND id > $2
ORDER BY id LIMIT 1000

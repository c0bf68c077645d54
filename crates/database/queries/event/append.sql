-- What was said before, at the same time in the same words, is the same event sent again.
-- $1 run, then one array each: $2 times, $3 levels, $4 messages, $5 progress
INSERT INTO ops.run_events (run_id, at, level, message, progress)
SELECT $1, e.at, e.level, e.message, e.progress
FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::double precision[])
     WITH ORDINALITY AS e (at, level, message, progress, place)
WHERE NOT EXISTS (SELECT FROM ops.run_events said
                  WHERE said.run_id = $1 AND said.at = e.at AND said.message = e.message)
ORDER BY e.place

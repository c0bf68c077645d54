-- $1 id, $2 the version it must have, $3 action, $4 cron, $5 zone, $6 catch-up, $7 enabled, $8 next, $9 the clock
UPDATE ops.schedules
SET action = $3, cron = $4, zone = $5, catch_up = $6, enabled = $7, next_at = $8, planned_at = $9,
    version = version + 1
WHERE id = $1 AND version = $2

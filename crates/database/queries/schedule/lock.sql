-- No row: it is gone, paused, or another control has it. $1 id
SELECT id FROM ops.schedules WHERE id = $1 AND enabled FOR UPDATE SKIP LOCKED

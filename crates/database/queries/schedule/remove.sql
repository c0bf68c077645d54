-- $1 id
DELETE FROM ops.schedules WHERE id = $1

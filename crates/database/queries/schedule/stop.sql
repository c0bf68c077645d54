-- Cannot be worked out any more. $1 id, $2 why
UPDATE ops.schedules SET enabled = false, next_at = NULL, last_note = $2, version = version + 1 WHERE id = $1

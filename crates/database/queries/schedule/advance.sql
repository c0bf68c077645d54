-- $1 id, $2 next as it was found, $3 next from now on, $4 the clock, $5 last instant or null, $6 last run or null,
-- $7 what came of it or null
UPDATE ops.schedules
SET next_at = $3, planned_at = $4, last_at = COALESCE($5, last_at), last_run_id = COALESCE($6, last_run_id),
    last_note = COALESCE($7, last_note)
WHERE id = $1 AND enabled AND next_at IS NOT DISTINCT FROM $2

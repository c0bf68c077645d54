-- $1 id, $2 whether
UPDATE ops.users
SET disabled_at = CASE WHEN $2 THEN COALESCE(disabled_at, now()) END, version = version + 1
WHERE id = $1

-- $1 id, $2 quiet since or null
UPDATE ops.alerts SET quiet_since = $2 WHERE id = $1 AND resolved_at IS NULL

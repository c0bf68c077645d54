-- $1 id, $2 now
UPDATE ops.alerts SET resolved_at = $2 WHERE id = $1 AND resolved_at IS NULL AND quiet_since IS NOT NULL

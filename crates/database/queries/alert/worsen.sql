-- $1 id, $2 severity, $3 detail
UPDATE ops.alerts SET severity = $2, detail = $3 WHERE id = $1 AND resolved_at IS NULL AND severity <> $2

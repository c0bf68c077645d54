-- The first who says so counts. $1 id, $2 requester
UPDATE ops.alerts SET acknowledged_by = $2, acknowledged_at = now()
WHERE id = $1 AND resolved_at IS NULL AND acknowledged_at IS NULL

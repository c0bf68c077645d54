-- Newest first. $1 state or null for those not resolved, $2 before this id or null, $3 at most
SELECT id, kind, subject, project_id, project, severity, state, detail, opened_at, quiet_since, acknowledged_by,
       acknowledged_at, resolved_at
FROM ops.alert_details
WHERE ($2::uuid IS NULL OR id < $2)
  AND CASE WHEN $1::text IS NULL THEN state <> 'resolved' ELSE state = $1 END
ORDER BY id DESC LIMIT $3

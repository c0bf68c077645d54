-- $1 id
SELECT id, kind, subject, project_id, project, severity, state, detail, opened_at, quiet_since, acknowledged_by,
       acknowledged_at, resolved_at
FROM ops.alert_details WHERE id = $1

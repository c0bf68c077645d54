-- $1 project or null for all
SELECT id, project_id, project, environment_id, environment, name, cron, zone, minutes, version, created_at
FROM ops.maintenance_window_details
WHERE $1::uuid IS NULL OR project_id = $1
ORDER BY project, name

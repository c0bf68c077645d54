-- $1 project's name, $2 name, $3 id or null
SELECT id, project_id, project, environment_id, environment, name, cron, zone, minutes, version, created_at
FROM ops.maintenance_window_details
WHERE (project = $1 AND name = $2) OR id = $3
ORDER BY (id = $3) IS TRUE DESC LIMIT 1

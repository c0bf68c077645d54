-- Those of an environment, its project's included. $1 environment
SELECT w.id, w.project_id, w.project, w.environment_id, w.environment, w.name, w.cron, w.zone, w.minutes, w.version,
       w.created_at
FROM ops.maintenance_window_details w
JOIN ops.environments e ON e.project_id = w.project_id AND (w.environment_id IS NULL OR w.environment_id = e.id)
WHERE e.id = $1
ORDER BY w.name

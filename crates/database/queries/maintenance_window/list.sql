-- $1 project or null for all, $2 and $3 after this project's and window's name or null, $4 at most
SELECT id, project_id, project, environment_id, environment, name, cron, zone, minutes, version, created_at
FROM ops.maintenance_window_details
WHERE ($1::uuid IS NULL OR project_id = $1) AND ($2::text IS NULL OR (project, name) > ($2, $3::text))
ORDER BY project, name LIMIT $4

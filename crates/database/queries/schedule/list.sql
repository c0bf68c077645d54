-- $1 project or null for all, $2 and $3 after this project's and schedule's name or null, $4 at most
SELECT id, project_id, project, environment_id, environment, tenant_id, tenant, name, action, cron, zone, catch_up, enabled,
       next_at, planned_at, last_at, last_run_id, last_note, version, created_at
FROM ops.schedule_details
WHERE ($1::uuid IS NULL OR project_id = $1) AND ($2::text IS NULL OR (project, name) > ($2, $3::text))
ORDER BY project, name LIMIT $4

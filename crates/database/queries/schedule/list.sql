-- $1 project or null for all
SELECT id, project_id, project, environment_id, environment, tenant_id, tenant, name, action, cron, zone, catch_up, enabled,
       next_at, planned_at, last_at, last_run_id, last_note, version, created_at
FROM ops.schedule_details
WHERE $1::uuid IS NULL OR project_id = $1
ORDER BY project, name

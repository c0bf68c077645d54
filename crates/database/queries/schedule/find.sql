-- $1 project's name, $2 name, $3 id or null
SELECT id, project_id, project, environment_id, environment, tenant_id, tenant, name, action, cron, zone, catch_up, enabled,
       next_at, planned_at, last_at, last_run_id, last_note, version, created_at
FROM ops.schedule_details
WHERE (project = $1 AND name = $2) OR id = $3
ORDER BY (id = $3) IS TRUE DESC LIMIT 1

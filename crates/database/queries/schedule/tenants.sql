-- The tenants of a schedule that are in one of some states. $1 schedule, $2 states
SELECT t.id, t.name
FROM ops.schedules s
JOIN ops.environments e ON e.project_id = s.project_id AND (s.environment_id IS NULL OR e.id = s.environment_id)
JOIN ops.tenants t ON t.environment_id = e.id AND (s.tenant_id IS NULL OR t.id = s.tenant_id)
WHERE s.id = $1 AND t.state = ANY ($2::text[])
ORDER BY t.id

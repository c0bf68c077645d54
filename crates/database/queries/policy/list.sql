-- $1 project or null for all
SELECT p.id, p.project_id, j.name AS project, p.act, p.environment_id, e.name AS environment, p.stage, p.approvals,
       p.roles, p.expires_after, p.version, p.created_at
FROM ops.policies p
JOIN ops.projects j ON j.id = p.project_id
LEFT JOIN ops.environments e ON e.id = p.environment_id
WHERE ($1::uuid IS NULL OR p.project_id = $1) AND e.archived_at IS NULL
ORDER BY j.name, p.act, p.environment_id IS NULL, p.stage IS NULL, e.name, p.stage

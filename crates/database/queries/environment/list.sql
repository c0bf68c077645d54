-- $1 project or null for all
SELECT e.id, e.project_id, p.name AS project, e.name, e.stage, e.build_id, e.created_at, e.archived_at
FROM ops.environments e JOIN ops.projects p ON p.id = e.project_id
WHERE ($1::uuid IS NULL OR e.project_id = $1) AND e.archived_at IS NULL
ORDER BY p.name, e.name

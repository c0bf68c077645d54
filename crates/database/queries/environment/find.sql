-- By its id also one that has ended. $1 project's name, $2 name, $3 id or null
SELECT e.id, e.project_id, p.name AS project, e.name, e.stage, e.build_id, e.created_at, e.archived_at
FROM ops.environments e JOIN ops.projects p ON p.id = e.project_id
WHERE (p.name = $1 AND e.name = $2 AND e.archived_at IS NULL) OR e.id = $3
ORDER BY (e.id = $3) IS TRUE DESC LIMIT 1

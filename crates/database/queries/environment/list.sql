-- $1 project or null for all, $2 and $3 after this project's and environment's name or null, $4 at most
SELECT e.id, e.project_id, p.name AS project, e.name, e.stage, e.build_id, e.version, e.created_at, e.archived_at
FROM ops.environments e JOIN ops.projects p ON p.id = e.project_id
WHERE ($1::uuid IS NULL OR e.project_id = $1) AND ($2::text IS NULL OR (p.name, e.name) > ($2, $3::text))
  AND e.archived_at IS NULL
ORDER BY p.name, e.name LIMIT $4

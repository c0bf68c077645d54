-- By its id also one that has ended. $1 project's name, $2 its id or null, $3 name, $4 id or null, $5 whether the project matters
SELECT e.id, e.project_id, p.name AS project, e.name, e.stage, e.build_id, e.version, e.created_at, e.archived_at
FROM ops.environments e JOIN ops.projects p ON p.id = e.project_id
WHERE (NOT $5 OR p.name = $1 OR p.id = $2) AND (($5 AND e.name = $3 AND e.archived_at IS NULL) OR e.id = $4)
ORDER BY (e.id = $4) IS TRUE DESC LIMIT 1

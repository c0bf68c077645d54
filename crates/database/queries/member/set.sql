-- $1 project, $2 user, $3 role, $4 the version that is changed, or null to add or change whatever is there. No row: it has
-- another version by now.
INSERT INTO ops.project_members AS m (project_id, user_id, role) VALUES ($1, $2, $3)
ON CONFLICT (user_id, project_id) DO UPDATE SET role = excluded.role, version = m.version + 1
WHERE $4::bigint IS NULL OR m.version = $4
RETURNING m.version

-- A project's members, with what was granted to each in one environment beyond the role. $1 project, $2 user or null for
-- all, $3 after this login or null, $4 at most
SELECT m.user_id, u.login, m.role, m.version, m.created_at, u.disabled_at IS NOT NULL AS disabled,
       ARRAY(SELECT e.name || ':' || g.permission
             FROM ops.env_permissions g JOIN ops.environments e ON e.id = g.environment_id
             WHERE g.user_id = m.user_id AND e.project_id = m.project_id
             ORDER BY e.name, g.permission) AS granted
FROM ops.project_members m JOIN ops.users u ON u.id = m.user_id
WHERE m.project_id = $1 AND ($2::uuid IS NULL OR m.user_id = $2)
  AND ($3::text IS NULL OR u.login > $3)
ORDER BY u.login LIMIT $4

-- Newest first. $1 project or null for all, $2 after this id or null, $3 at most
SELECT k.id, k.name, k.prefix, u.login, p.name AS project, k.scopes, k.created_at, k.expires_at, k.last_used_at,
       k.revoked_at
FROM ops.api_keys k
LEFT JOIN ops.users u ON u.id = k.user_id
LEFT JOIN ops.projects p ON p.id = k.project_id
WHERE ($1::uuid IS NULL OR k.project_id = $1) AND ($2::uuid IS NULL OR k.id < $2)
ORDER BY k.id DESC LIMIT $3

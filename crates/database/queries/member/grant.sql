-- $1 environment, $2 user, $3 permission
INSERT INTO ops.env_permissions (environment_id, user_id, permission) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

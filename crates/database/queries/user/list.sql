SELECT id, login, operator, disabled_at, created_at FROM ops.users ORDER BY login

-- $1 login
SELECT id, login, operator, disabled_at, created_at FROM ops.users WHERE login = $1

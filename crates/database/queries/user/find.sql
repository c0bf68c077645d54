-- For signing in. $1 login
SELECT id, login, password_hash, one_time_hash, one_time_expires_at > now() AS one_time_valid, disabled_at
FROM ops.users WHERE login = $1

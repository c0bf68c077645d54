-- $1 login
SELECT id, login, password_hash, one_time_hash, one_time_expires_at > now() AS one_time_valid, created_at FROM ops.users WHERE login = $1

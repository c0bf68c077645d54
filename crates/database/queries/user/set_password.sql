-- $1 id, $2 hash
UPDATE ops.users SET password_hash = $2, one_time_hash = NULL, one_time_expires_at = NULL WHERE id = $1

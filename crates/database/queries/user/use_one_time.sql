-- For one sign-in: whoever comes second finds nothing. $1 id, $2 hash
UPDATE ops.users SET one_time_hash = NULL, one_time_expires_at = NULL WHERE id = $1 AND one_time_hash = $2

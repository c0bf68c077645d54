-- $1 id, $2 hash, $3 seconds it is valid
UPDATE ops.users SET one_time_hash = $2, one_time_expires_at = now() + make_interval(secs => $3) WHERE id = $1

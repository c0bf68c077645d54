-- $1 token's hash, $2 user, $3 csrf, $4 must set a password, $5 seconds it is valid
INSERT INTO ops.sessions (token_hash, user_id, csrf, must_set_password, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))

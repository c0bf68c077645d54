-- $1 token's hash
UPDATE ops.sessions SET must_set_password = false WHERE token_hash = $1

-- $1 token's hash
DELETE FROM ops.sessions WHERE token_hash = $1

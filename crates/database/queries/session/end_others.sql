-- $1 user, $2 the token's hash that stays, or null
DELETE FROM ops.sessions WHERE user_id = $1 AND token_hash IS DISTINCT FROM $2

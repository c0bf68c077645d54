-- $1 id
UPDATE ops.api_keys SET revoked_at = COALESCE(revoked_at, now()) WHERE id = $1

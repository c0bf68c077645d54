-- $1 prefix
SELECT id, name, prefix, secret_hash, created_at, last_used_at, revoked_at FROM ops.api_keys WHERE prefix = $1

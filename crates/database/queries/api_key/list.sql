SELECT id, name, prefix, secret_hash, created_at, last_used_at, revoked_at FROM ops.api_keys ORDER BY id DESC

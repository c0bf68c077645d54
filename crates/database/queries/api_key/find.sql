-- A key that somebody presents. $1 prefix
SELECT k.id, k.secret_hash, k.user_id, k.expires_at, k.revoked_at, u.disabled_at
FROM ops.api_keys k LEFT JOIN ops.users u ON u.id = k.user_id
WHERE k.prefix = $1

-- $1 id, $2 name, $3 prefix, $4 secret's hash, $5 user or null, $6 project or null, $7 scopes, $8 expiry or null
INSERT INTO ops.api_keys (id, name, prefix, secret_hash, user_id, project_id, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

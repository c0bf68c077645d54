-- $1 id, $2 name, $3 prefix, $4 secret's hash
INSERT INTO ops.api_keys (id, name, prefix, secret_hash) VALUES ($1, $2, $3, $4)

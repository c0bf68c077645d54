-- $1 secret, $2 version, $3 data key, $4 sealed, $5 fingerprint
INSERT INTO ops.secret_versions (secret_id, version, data_key_id, sealed, fingerprint)
VALUES ($1, $2, $3, $4, $5)

-- $1 requester, $2 idempotency key, $3 hash, $4 what was made. No row: somebody was quicker.
INSERT INTO ops.requests (requester, key, request_hash, made) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING

-- $1 requester, $2 idempotency key
SELECT request_hash, made FROM ops.requests WHERE requester = $1 AND key = $2

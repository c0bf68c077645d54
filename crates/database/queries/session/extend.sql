-- At most once a minute. $1 token's hash, $2 seconds it is valid from now
UPDATE ops.sessions SET expires_at = now() + make_interval(secs => $2)
WHERE token_hash = $1 AND expires_at < now() + make_interval(secs => $2) - interval '1 minute'

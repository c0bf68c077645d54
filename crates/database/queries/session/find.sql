-- $1 token's hash
SELECT s.user_id, u.login, s.csrf, s.must_set_password, s.expires_at
FROM ops.sessions s JOIN ops.users u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.expires_at > now() AND u.disabled_at IS NULL

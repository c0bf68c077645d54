DELETE FROM ops.sessions WHERE expires_at < now()

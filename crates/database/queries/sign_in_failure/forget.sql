DELETE FROM ops.sign_in_failures WHERE last_at < now() - interval '1 day'

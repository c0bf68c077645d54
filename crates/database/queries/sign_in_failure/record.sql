-- From the fifth on each locks for longer, up to 15 minutes; an hour without one forgets them. $1 login, $2 address
INSERT INTO ops.sign_in_failures AS f (login, address, failures) VALUES ($1, $2, 1)
ON CONFLICT (login, address) DO UPDATE
SET failures = CASE WHEN f.last_at < now() - interval '1 hour' THEN 1 ELSE f.failures + 1 END,
    last_at = now(),
    locked_until = CASE WHEN f.last_at >= now() - interval '1 hour' AND f.failures >= 4
                        THEN now() + least(interval '30 seconds' * power(2, least(f.failures - 4, 10)),
                                           interval '15 minutes') END
RETURNING failures

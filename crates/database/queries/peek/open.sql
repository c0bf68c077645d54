-- $1 id, $2 the states it may be in, $3 open, $4 worker, $5 port
WITH found AS (
    SELECT id, state FROM ops.peeks WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.peeks p
    SET state = $3, worker_id = $4, port = $5, opened_at = now(), expires_at = now() + make_interval(secs => p.seconds)
    FROM found
    WHERE p.id = found.id AND found.state = ANY ($2::text[])
    RETURNING p.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

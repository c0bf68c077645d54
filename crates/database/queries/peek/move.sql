-- $1 id, $2 the states it may be in, $3 the next one, $4 the reason
WITH found AS (
    SELECT id, state FROM ops.peeks WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.peeks p
    SET state = $3, reason = $4, ended_at = CASE WHEN $3 IN ('ended', 'failed') THEN now() END
    FROM found
    WHERE p.id = found.id AND found.state = ANY ($2::text[])
    RETURNING p.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

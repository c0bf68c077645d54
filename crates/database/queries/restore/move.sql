-- $1 id, $2 the states it may be in, $3 the next one, $4 the reason when failed, $5 the database it makes, or null.
-- What a failed one made is not used again.
WITH found AS (
    SELECT id, state FROM ops.restores WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.restores o
    SET state = $3, reason = $4,
        to_database_id = CASE WHEN $3 = 'failed' THEN NULL ELSE COALESCE($5, o.to_database_id) END,
        ended_at = CASE WHEN $3 IN ('succeeded', 'failed') THEN now() END
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

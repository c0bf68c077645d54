-- $1 id, $2 the states it may be in, $3 the next one
WITH found AS (
    SELECT id, state FROM ops.snapshots WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.snapshots o
    SET state = $3
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

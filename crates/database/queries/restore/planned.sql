-- $1 id, $2 the states it may be in, $3 planned, $4 plan, $5 the plan as shown
WITH found AS (
    SELECT id, state FROM ops.restores WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.restores o
    SET state = $3, plan = $4, shown = $5
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

-- $1 id, $2 the states it may be in, $3 the next one
WITH found AS (
    SELECT id, state FROM ops.clusters WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.clusters o
    SET state = $3,
        fenced_at = CASE $3 WHEN 'fenced' THEN now() WHEN 'dropped' THEN o.fenced_at END,
        dropped_at = CASE WHEN $3 = 'dropped' THEN now() END
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

-- At most once a second. $1 id
WITH seen AS (
    UPDATE ops.workers SET seen_at = now(), gone_at = NULL
    WHERE id = $1 AND (seen_at < now() - interval '1 second' OR gone_at IS NOT NULL)
)
SELECT EXISTS (SELECT FROM ops.workers WHERE id = $1) AS known

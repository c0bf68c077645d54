-- $1 id, $2 the states it may be in, $3 the next one, $4 reason, $5 hint. Only a claim makes it running in earnest:
-- that comes with a lease.
WITH found AS (
    SELECT id, state FROM ops.runs WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.runs o
    SET state = $3, reason = $4, hint = $5,
        progress = CASE $3 WHEN 'queued' THEN NULL WHEN 'succeeded' THEN 1 ELSE o.progress END,
        cancel_requested = CASE WHEN $3 = 'queued' AND found.state <> 'running' THEN false ELSE o.cancel_requested END,
        losses = CASE WHEN $3 <> 'queued' THEN o.losses WHEN found.state = 'running' THEN o.losses + 1 ELSE 0 END,
        queued_at = CASE WHEN $3 = 'queued' AND found.state <> 'running' THEN now() ELSE o.queued_at END,
        started_at = CASE $3 WHEN 'queued' THEN NULL WHEN 'running' THEN now() ELSE o.started_at END,
        ended_at = CASE WHEN $3 IN ('succeeded', 'failed', 'cancelled') THEN now() END,
        payload = CASE WHEN $3 = 'succeeded' THEN '{}' ELSE o.payload END
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

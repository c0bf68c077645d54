-- Those that have not ended.
SELECT kind, state, count(*) AS runs, extract(epoch FROM now() - min(queued_at))::double precision AS oldest
FROM ops.runs WHERE ended_at IS NULL AND state IN ('waiting', 'queued', 'running')
GROUP BY kind, state

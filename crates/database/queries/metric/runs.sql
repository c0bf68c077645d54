-- Those that have not ended; held until a later time is apart.
SELECT kind, state, count(*) AS runs, count(*) FILTER (WHERE run_at > now()) AS held,
       COALESCE(extract(epoch FROM now() - min(GREATEST(queued_at, run_at))
                FILTER (WHERE run_at IS NULL OR run_at <= now())), 0)::double precision AS oldest
FROM ops.runs WHERE ended_at IS NULL AND state IN ('waiting', 'queued', 'running')
GROUP BY kind, state

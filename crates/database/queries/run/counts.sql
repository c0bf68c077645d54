SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'running') AS running
FROM ops.runs WHERE state IN ('queued', 'running')

-- Those that have not ended; held until a later time is apart.
SELECT kind, state, count(*) AS runs, count(*) FILTER (WHERE run_at > now()) AS held,
       COALESCE(extract(epoch FROM now() - min(GREATEST(queued_at, run_at))
                FILTER (WHERE run_at IS NULL OR run_at <= now())), 0)::double precision AS oldest
FROM (SELECT r.kind, 'waiting' AS state, r.run_at, r.queued_at FROM ops.runs r WHERE r.filed = 'waiting'
      UNION ALL
      SELECT q.kind, 'queued', q.run_at, r.queued_at FROM ops.run_ready q JOIN ops.runs r ON r.id = q.run_id
      UNION ALL
      SELECT l.kind, 'running', NULL, r.queued_at FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id) r
GROUP BY kind, state

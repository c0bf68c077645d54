SELECT count(*) FILTER (WHERE enabled) AS enabled, count(*) FILTER (WHERE NOT enabled) AS paused,
       COALESCE(extract(epoch FROM now() - min(next_at) FILTER (WHERE enabled AND next_at < now())), 0)
           ::double precision AS late
FROM ops.schedules

-- Of active tenants whose WAL is streamed: how many, and the most that the repository is behind one of them.
SELECT count(*) AS streamed,
       COALESCE(max(o.lag_bytes), 0) AS lag_bytes,
       COALESCE(max(o.lag_ms) / 1000.0, 0)::double precision AS lag,
       COALESCE(sum(o.slots_lost), 0)::bigint AS slots_lost
FROM ops.tenants t JOIN ops.tenant_wal o ON o.tenant_id = t.id
WHERE t.state = 'active' AND o.lag_ms IS NOT NULL

-- $1 worker, then one array each: $2 tenants, $3 bytes, and where it is streamed $4 bytes behind, $5 milliseconds
-- behind, $6 slots lost. Of tenants that another worker's host serves, nothing is taken.
INSERT INTO ops.tenant_wal AS o (tenant_id, bytes, lag_bytes, lag_ms, slots_lost)
SELECT s.tenant_id, s.bytes, s.lag_bytes, s.lag_ms, s.slots_lost
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS s (tenant_id, bytes, lag_bytes, lag_ms, slots_lost)
JOIN ops.tenant_details t ON t.id = s.tenant_id AND t.worker_id = $1
ORDER BY s.tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET bytes = excluded.bytes, lag_bytes = excluded.lag_bytes,
    lag_ms = excluded.lag_ms, slots_lost = excluded.slots_lost, observed_at = now()
WHERE (o.bytes, o.lag_bytes, o.lag_ms, o.slots_lost)
    IS DISTINCT FROM (excluded.bytes, excluded.lag_bytes, excluded.lag_ms, excluded.slots_lost)

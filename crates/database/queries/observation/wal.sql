-- $1 worker, then one array each: $2 tenants, $3 bytes. Of tenants that another worker's host serves, nothing is taken.
INSERT INTO ops.tenant_wal AS o (tenant_id, bytes)
SELECT s.tenant_id, s.bytes
FROM unnest($2::uuid[], $3::bigint[]) AS s (tenant_id, bytes)
JOIN ops.tenant_details t ON t.id = s.tenant_id AND t.worker_id = $1
ORDER BY s.tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET bytes = excluded.bytes, observed_at = now()
WHERE o.bytes <> excluded.bytes

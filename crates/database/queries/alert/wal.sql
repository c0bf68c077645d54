-- Cells with at least $1 bytes of WAL, or whose WAL is not in the repository for at least $2 milliseconds.
SELECT t.id, t.name, e.project_id, o.bytes, o.lag_bytes, o.lag_ms
FROM ops.tenant_wal o
JOIN ops.tenants t ON t.id = o.tenant_id
JOIN ops.environments e ON e.id = t.environment_id
WHERE (o.bytes >= $1 OR o.lag_ms >= $2) AND t.state IN ('active', 'suspended')
ORDER BY o.bytes DESC, t.id LIMIT 200

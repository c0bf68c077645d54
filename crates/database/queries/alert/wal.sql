-- Cells with at least $1 bytes of WAL.
SELECT t.id, t.name, e.project_id, o.bytes
FROM ops.tenant_wal o
JOIN ops.tenants t ON t.id = o.tenant_id
JOIN ops.environments e ON e.id = t.environment_id
WHERE o.bytes >= $1 AND t.state IN ('active', 'suspended')
ORDER BY o.bytes DESC, t.id LIMIT 200

-- Active tenants with a backup, the one with the oldest first. $1 at most
SELECT t.name, extract(epoch FROM now() - age.newest)::double precision AS age
FROM ops.tenants t
JOIN ops.tenant_databases d ON d.id = t.tenant_database_id
CROSS JOIN LATERAL (SELECT max(b.stopped_at) AS newest FROM ops.base_backups b WHERE b.lineage_id = d.lineage_id) age
WHERE t.state = 'active' AND age.newest IS NOT NULL
ORDER BY age.newest, t.name LIMIT $1

-- Active tenants, the one with the oldest backup first; those without one before them all. $1 at most
SELECT t.name, extract(epoch FROM now() - age.newest)::double precision AS age
FROM ops.tenants t
JOIN ops.tenant_databases d ON d.id = t.tenant_database_id
CROSS JOIN LATERAL (SELECT max(b.stopped_at) AS newest FROM ops.base_backups b WHERE b.lineage_id = d.lineage_id) age
WHERE t.state = 'active'
ORDER BY age.newest NULLS FIRST, t.name LIMIT $1

-- Of active tenants: seconds since the oldest of their newest backups, and how many have none.
SELECT COALESCE(extract(epoch FROM now() - min(age.newest)), 0)::double precision AS oldest,
       count(*) FILTER (WHERE age.newest IS NULL) AS without
FROM ops.tenants t
JOIN ops.tenant_databases d ON d.id = t.tenant_database_id
CROSS JOIN LATERAL (SELECT max(b.stopped_at) AS newest FROM ops.base_backups b WHERE b.lineage_id = d.lineage_id) age
WHERE t.state = 'active'

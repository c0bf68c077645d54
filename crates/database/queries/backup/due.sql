-- Active tenants whose present lineage has no backup younger than $1 seconds; after a failed one, $2 seconds pass.
SELECT t.id AS tenant_id, e.project_id
FROM ops.tenants t
JOIN ops.environments e ON e.id = t.environment_id
JOIN ops.tenant_databases td ON td.id = t.tenant_database_id
WHERE t.state = 'active'
  AND NOT EXISTS (SELECT FROM ops.base_backups b
                  WHERE b.lineage_id = td.lineage_id AND b.stopped_at > now() - make_interval(secs => $1))
  AND NOT EXISTS (SELECT FROM ops.runs r
                  WHERE r.tenant_id = t.id AND r.kind = 'backup'
                    AND (r.state = 'queued' OR r.ended_at > now() - make_interval(secs => $2)))
ORDER BY t.id

-- Clusters that nothing needs any more, by tenant: fenced ones past retention, those of archived tenants past
-- retention, and what failed provisions and restores left. $1 retention in seconds, $2 tenant or null for all,
-- $3 seconds that pass after a tenant's last expire run
SELECT td.tenant_id, array_agg(c.id ORDER BY c.id) AS clusters
FROM ops.clusters c
JOIN ops.tenant_databases td ON td.cluster_id = c.id
JOIN ops.tenants t ON t.id = td.tenant_id
WHERE c.state <> 'dropped'
  AND ($2::uuid IS NULL OR td.tenant_id = $2)
  AND NOT EXISTS (SELECT FROM ops.runs r
                  WHERE r.tenant_id = t.id AND r.kind = 'expire' AND r.ended_at > now() - make_interval(secs => $3))
  AND CASE
      WHEN t.state = 'archived' THEN t.archived_at < now() - make_interval(secs => $1)
      WHEN t.tenant_database_id = td.id THEN false
      WHEN c.state = 'fenced' THEN c.fenced_at < now() - make_interval(secs => $1)
      ELSE NOT EXISTS (SELECT FROM ops.runs r
                       WHERE r.tenant_id = t.id AND r.kind IN ('provision', 'restore')
                         AND r.state = 'queued')
  END
GROUP BY td.tenant_id
ORDER BY td.tenant_id

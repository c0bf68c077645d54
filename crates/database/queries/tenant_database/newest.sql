-- A tenant's latest that was not dropped. $1 tenant
SELECT td.id, td.tenant_id, td.cluster_id, td.lineage_id, c.worker_id, c.state
FROM ops.tenant_databases td JOIN ops.clusters c ON c.id = td.cluster_id
WHERE td.tenant_id = $1 AND c.state <> 'dropped'
ORDER BY td.id DESC LIMIT 1

-- $1 id
SELECT td.id, td.tenant_id, td.cluster_id, td.lineage_id, c.worker_id, c.state
FROM ops.tenant_databases td JOIN ops.clusters c ON c.id = td.cluster_id
WHERE td.id = $1

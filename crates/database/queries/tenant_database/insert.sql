-- $1 id, $2 tenant, $3 cluster, $4 lineage, $5 database
INSERT INTO ops.tenant_databases (id, tenant_id, cluster_id, lineage_id, database) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING

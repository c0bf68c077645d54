-- Whether a cluster holds a database of the tenant. $1 cluster, $2 tenant
SELECT EXISTS (SELECT FROM ops.tenant_databases WHERE cluster_id = $1 AND tenant_id = $2) AS owned

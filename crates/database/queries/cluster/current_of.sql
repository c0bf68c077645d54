-- The tenants that a cluster serves. $1 cluster
SELECT t.id, t.state FROM ops.tenants t
JOIN ops.tenant_databases td ON td.id = t.tenant_database_id
WHERE td.cluster_id = $1

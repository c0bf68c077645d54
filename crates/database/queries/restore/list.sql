-- $1 tenant, $2 before this id or null, $3 at most
SELECT id, tenant_id, tenant, state, snapshot_id, snapshot, at, plan, shown, reason, created_at, to_database_id,
       to_cluster_id, to_lineage_id, run_id
FROM ops.restore_details
WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3

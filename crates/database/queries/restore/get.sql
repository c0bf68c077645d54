-- $1 id
SELECT id, tenant_id, tenant, state, snapshot_id, snapshot, at, plan, shown, reason, created_at, to_database_id,
       to_cluster_id, to_lineage_id, run_id
FROM ops.restore_details
WHERE id = $1

-- $1 id
SELECT id, tenant_id, lineage_id, start_lsn, stop_lsn, stopped_at, size, stored FROM ops.base_backups WHERE id = $1

-- $1 id
SELECT id, tenant_id, tenant, name, state, kind, lineage_id, lsn, wal_file, backup_id, size, missing_files, taken_at,
       expires_at, created_at, run_id, note, pinned, terms
FROM ops.snapshot_details
WHERE id = $1

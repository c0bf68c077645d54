-- $1 tenant, $2 before this id or null, $3 at most
SELECT id, tenant_id, tenant, name, state, kind, lineage_id, lsn, wal_file, backup_id, size, missing_files, taken_at,
       expires_at, created_at, run_id, note, pinned, terms
FROM ops.snapshot_details
WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3

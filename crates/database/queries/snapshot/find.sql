-- $1 tenant, $2 name, $3 id or null; of several of a name, the one that can be restored to, else the newest
SELECT id, tenant_id, tenant, name, state, kind, lineage_id, lsn, wal_file, backup_id, size, missing_files, taken_at,
       expires_at, created_at, run_id, note, pinned, terms
FROM ops.snapshot_details
WHERE tenant_id = $1 AND (name = $2 OR id = $3)
ORDER BY (id = $3) IS TRUE DESC, state IN ('creating', 'ready', 'restoring') DESC, id DESC LIMIT 1

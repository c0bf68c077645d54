-- $1 id, $2 the states it may be in, $3 ready, $4 lineage, $5 LSN, $6 WAL file, $7 backup, $8 size, $9 missing files,
-- $10 taken at
WITH found AS (
    SELECT id, state FROM ops.snapshots WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE ops.snapshots o
    SET state = $3, lineage_id = $4, lsn = $5, wal_file = $6, backup_id = $7, size = $8, missing_files = $9,
        taken_at = $10
    FROM found
    WHERE o.id = found.id AND found.state = ANY ($2::text[])
    RETURNING o.id
)
SELECT found.state, EXISTS (SELECT FROM moved) AS moved FROM found

-- $1 id, $2 tenant, $3 lineage, $4 start, $5 stop, $6 stopped at, $7 size, $8 stored
INSERT INTO ops.base_backups (id, tenant_id, lineage_id, start_lsn, stop_lsn, stopped_at, size, stored)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO NOTHING

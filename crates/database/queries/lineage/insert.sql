-- $1 id, $2 tenant, $3 parent, $4 fork LSN, $5 timeline, $6 system identifier, $7 segment size, $8 database
INSERT INTO ops.lineages (id, tenant_id, parent_id, fork_lsn, timeline, system_identifier, segment_size, database)
VALUES ($1, $2, $3, $4, $5, $6::text::numeric, $7, $8)
ON CONFLICT (id) DO NOTHING

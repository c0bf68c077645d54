-- $1 id
SELECT id, tenant_id, parent_id, fork_lsn, timeline, system_identifier::text AS system_identifier, segment_size,
       database, activated_at
FROM ops.lineages WHERE id = $1

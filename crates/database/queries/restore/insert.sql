-- $1 id, $2 tenant, $3 snapshot or null, $4 time or null
INSERT INTO ops.restores (id, tenant_id, state, snapshot_id, at) VALUES ($1, $2, 'planning', $3, $4)

-- $1 id, $2 tenant, $3 name, $4 kind, $5 expiry
INSERT INTO ops.snapshots (id, tenant_id, name, state, kind, expires_at) VALUES ($1, $2, $3, 'creating', $4, $5)

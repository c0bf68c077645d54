-- $1 id, $2 tenant, $3 name, $4 kind, $5 expiry, $6 note or null, $7 pinned
INSERT INTO ops.snapshots (id, tenant_id, name, state, kind, expires_at, note, pinned)
VALUES ($1, $2, $3, 'creating', $4, $5, $6, $7)

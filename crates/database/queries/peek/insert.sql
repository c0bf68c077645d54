-- $1 id, $2 tenant, $3 run, $4 snapshot, $5 time, $6 position, at most one of them, $7 seconds
INSERT INTO ops.peeks (id, tenant_id, state, run_id, snapshot_id, at, lsn, seconds)
VALUES ($1, $2, 'opening', $3, $4, $5, $6, $7)

-- $1 id
SELECT p.id, p.tenant_id, p.tenant, p.database, p.state, p.run_id, p.snapshot_id, p.snapshot, p.at, p.lsn,
       p.seconds, p.worker, p.port, p.reason, p.created_at, p.opened_at, p.expires_at, p.ended_at
FROM ops.peek_details p
WHERE p.id = $1

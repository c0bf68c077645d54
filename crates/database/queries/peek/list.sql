-- $1 tenant, $2 before this id or null, $3 at most
SELECT p.id, p.tenant_id, p.tenant, p.database, p.state, p.run_id, p.snapshot_id, p.snapshot, p.at, p.lsn,
       p.seconds, p.worker, p.port, p.reason, p.created_at, p.opened_at, p.expires_at, p.ended_at
FROM ops.peek_details p
WHERE p.tenant_id = $1 AND ($2::uuid IS NULL OR p.id < $2)
ORDER BY p.id DESC LIMIT $3

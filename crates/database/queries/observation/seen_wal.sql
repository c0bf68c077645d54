-- $1 tenants
SELECT tenant_id, bytes, lag_bytes, lag_ms, slots_lost FROM ops.tenant_wal
WHERE tenant_id = ANY ($1::uuid[])

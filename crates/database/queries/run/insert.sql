-- Nothing comes back when the idempotency key is taken or the tenant has such a run already.
-- $1 id, $2 kind, $3 project, $4 tenant, $5 build, $6 snapshot, $7 restore, $8 payload, $9 requester, $10 key, $11 hash
INSERT INTO ops.runs (id, kind, state, project_id, tenant_id, build_id, snapshot_id, restore_id, payload, requester,
                      idempotency_key, request_hash)
VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING id

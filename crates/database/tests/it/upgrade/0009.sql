-- Something that was written down, and a seal.
UPDATE ops.tenants SET max_users = 11, version = version + 1 WHERE name = 'acme';
INSERT INTO ops.audit_blocks (chain, number, after, through, ids, hashes, rows, previous, hash, sealed_at, key, signature)
SELECT a.project_id, 1, 0, a.id, ARRAY[a.id], sha256('row'), 1, decode(repeat('00', 32), 'hex'), sha256('row'), now(),
       sha256('key'), sha256('signature') || sha256('signature')
FROM ops.audit a WHERE a.act = 'tenants.changed' ORDER BY a.id DESC LIMIT 1;

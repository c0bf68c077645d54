INSERT INTO ops.audit_blocks
    (chain, number, after, through, ids, hashes, rows, previous, hash, sealed_at, key, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- The last block of each chain. $1 only this one
SELECT DISTINCT ON (b.chain) b.chain, b.number, b.after, b.through, b.ids, b.hashes, b.rows, b.previous, b.hash,
       CASE WHEN b.sealed_at BETWEEN '2000-01-01' AND '9000-01-01' THEN b.sealed_at ELSE '2000-01-01' END AS sealed_at,
       b.key, b.signature
FROM ops.audit_blocks b
WHERE $1::uuid IS NULL OR b.chain = $1
ORDER BY b.chain, b.number DESC

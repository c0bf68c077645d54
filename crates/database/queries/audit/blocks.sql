-- A chain's blocks after one, in order. $1 the chain, $2 the block's number, $3 at most
SELECT b.chain, b.number, b.after, b.through, b.ids, b.hashes, b.rows, b.previous, b.hash,
       CASE WHEN b.sealed_at BETWEEN '2000-01-01' AND '9000-01-01' THEN b.sealed_at ELSE '2000-01-01' END AS sealed_at,
       b.key, b.signature
FROM ops.audit_blocks b
WHERE b.chain = $1 AND b.number > $2
ORDER BY b.number
LIMIT $3

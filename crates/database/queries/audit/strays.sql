-- A chain's rows that are in the sealed range, after its last block: there are none. $1 the chain
SELECT a.id, CASE WHEN a.at BETWEEN '2000-01-01' AND '9000-01-01' THEN a.at ELSE '2000-01-01' END AS at, a.project_id, a.actor,
       a.via, a.address, a.request, a.run_id, a.act, a.subjects::text AS subjects, a.detail::text AS detail
FROM ops.audit a
WHERE a.project_id IS NOT DISTINCT FROM NULLIF($1, '00000000-0000-0000-0000-000000000000'::uuid)
  AND a.id > COALESCE((SELECT max(b.through) FROM ops.audit_blocks b WHERE b.chain = $1), -9223372036854775808)
  AND a.id <= (SELECT h.sealed FROM ops.audit_horizon h)
ORDER BY a.id
LIMIT 1000

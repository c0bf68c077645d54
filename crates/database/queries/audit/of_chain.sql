-- A chain's rows with greater ids than $2, up to $3, in order. $1 the chain
-- What somebody may have written over must be readable, to be found out.
SELECT a.id, CASE WHEN a.at BETWEEN '2000-01-01' AND '9000-01-01' THEN a.at ELSE '2000-01-01' END AS at, a.project_id, a.actor,
       a.via, a.address, a.request, a.run_id, a.act, a.subjects::text AS subjects, a.detail::text AS detail
FROM ops.audit a
WHERE a.id > $2 AND a.id <= $3
  AND a.project_id IS NOT DISTINCT FROM NULLIF($1, '00000000-0000-0000-0000-000000000000'::uuid)
ORDER BY a.id

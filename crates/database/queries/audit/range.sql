-- Rows with greater ids than $1, up to $2, in order, at most $3.
-- What somebody may have written over must be readable, to be found out.
SELECT a.id, CASE WHEN a.at BETWEEN '2000-01-01' AND '9000-01-01' THEN a.at ELSE '2000-01-01' END AS at, a.project_id, a.actor,
       a.via, a.address, a.request, a.run_id, a.act, a.subjects::text AS subjects, a.detail::text AS detail
FROM ops.audit a
WHERE a.id > $1 AND a.id <= $2
ORDER BY a.id
LIMIT $3

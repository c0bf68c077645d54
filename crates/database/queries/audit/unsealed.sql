-- How many rows of a chain wait to be sealed. $1 the chain
SELECT count(*)
FROM ops.audit a
WHERE a.project_id IS NOT DISTINCT FROM NULLIF($1, '00000000-0000-0000-0000-000000000000'::uuid)
  AND a.id > (SELECT h.sealed FROM ops.audit_horizon h)

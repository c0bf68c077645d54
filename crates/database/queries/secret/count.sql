-- How many a scope has. $1 project, $2 environment or null, $3 tenant or null
SELECT count(*) FROM ops.secrets
WHERE project_id = $1 AND environment_id IS NOT DISTINCT FROM $2 AND tenant_id IS NOT DISTINCT FROM $3
  AND removed_at IS NULL

-- $1 project, $2 environment or null, $3 tenant or null, $4 name
UPDATE ops.secrets SET removed_at = now(), version = version + 1
WHERE project_id = $1 AND environment_id IS NOT DISTINCT FROM $2 AND tenant_id IS NOT DISTINCT FROM $3
  AND name = $4 AND removed_at IS NULL
RETURNING id, version

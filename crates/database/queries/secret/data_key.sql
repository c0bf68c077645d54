-- $1 project, $2 environment or null, $3 tenant or null
SELECT id, project_id, environment_id, tenant_id, wrapped, wrapped_by FROM ops.data_keys
WHERE project_id = $1 AND environment_id IS NOT DISTINCT FROM $2 AND tenant_id IS NOT DISTINCT FROM $3

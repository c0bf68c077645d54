-- All kept values that reach a scope, the widest scope first.
-- $1 project, $2 environment or null, $3 tenant or null
SELECT s.name, s.project_id AS of_project, s.environment_id AS of_environment, s.tenant_id AS of_tenant, v.version, v.version = s.version AS present, v.sealed,
       d.id, d.project_id, d.environment_id, d.tenant_id, d.wrapped, d.wrapped_by
FROM ops.secrets s
JOIN ops.secret_versions v ON v.secret_id = s.id
JOIN ops.data_keys d ON d.id = v.data_key_id
WHERE s.project_id = $1 AND s.removed_at IS NULL
  AND (s.environment_id IS NULL OR s.environment_id = $2)
  AND (s.tenant_id IS NULL OR s.tenant_id = $3)
ORDER BY s.environment_id IS NOT NULL, s.tenant_id IS NOT NULL, s.name, v.version

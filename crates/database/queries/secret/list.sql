-- What reaches a scope: its own secrets and those of the wider ones.
-- $1 project, $2 environment or null, $3 tenant or null
SELECT s.id, s.name, p.name AS project, e.name AS environment, t.name AS tenant, s.version, v.fingerprint,
       v.set_at, v.set_by, ops.name_of(v.set_by) AS set_by_name
FROM ops.secrets s
JOIN ops.secret_versions v ON v.secret_id = s.id AND v.version = s.version
JOIN ops.projects p ON p.id = s.project_id
LEFT JOIN ops.environments e ON e.id = s.environment_id
LEFT JOIN ops.tenants t ON t.id = s.tenant_id
WHERE s.project_id = $1 AND s.removed_at IS NULL
  AND (s.environment_id IS NULL OR s.environment_id = $2)
  AND (s.tenant_id IS NULL OR s.tenant_id = $3)
ORDER BY s.name, s.tenant_id IS NULL, s.environment_id IS NULL

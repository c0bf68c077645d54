-- Data keys that are not wrapped by $1.
SELECT id, project_id, environment_id, tenant_id, wrapped, wrapped_by FROM ops.data_keys
WHERE wrapped_by <> $1
ORDER BY id
FOR UPDATE

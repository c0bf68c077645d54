-- $1 runs
SELECT id, project_id, tenant_id FROM ops.runs WHERE id = ANY ($1)

-- $1 run
SELECT project_id, tenant_id FROM ops.runs WHERE id = $1

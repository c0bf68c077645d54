-- Does nothing where another was quicker. $1 id, $2 project, $3 environment or null, $4 tenant or null, $5 wrapped, $6 by
INSERT INTO ops.data_keys (id, project_id, environment_id, tenant_id, wrapped, wrapped_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ON CONSTRAINT data_keys_one_a_scope DO NOTHING

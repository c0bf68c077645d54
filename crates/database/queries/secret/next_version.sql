-- The name's next version. $1 id, if it is new, $2 project, $3 environment or null, $4 tenant or null, $5 name
INSERT INTO ops.secrets (id, project_id, environment_id, tenant_id, name)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT secrets_one_name
    DO UPDATE SET version = secrets.version + 1, removed_at = NULL
RETURNING id, version

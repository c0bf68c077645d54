-- $1 id, $2 project, $3 act, $4 environment or null, $5 stage or null, $6 approvals, $7 roles, $8 seconds
INSERT INTO ops.policies (id, project_id, act, environment_id, stage, approvals, roles, expires_after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

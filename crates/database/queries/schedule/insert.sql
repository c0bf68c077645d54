-- $1 id, $2 project, $3 environment or null, $4 tenant or null, $5 name, $6 action, $7 cron, $8 zone, $9 catch-up,
-- $10 enabled, $11 next, $12 the clock it was worked out by
INSERT INTO ops.schedules (id, project_id, environment_id, tenant_id, name, action, cron, zone, catch_up, enabled,
                           next_at, planned_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

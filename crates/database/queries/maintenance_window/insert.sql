-- $1 id, $2 project, $3 environment or null, $4 name, $5 cron, $6 zone, $7 minutes
INSERT INTO ops.maintenance_windows (id, project_id, environment_id, name, cron, zone, minutes)
VALUES ($1, $2, $3, $4, $5, $6, $7)

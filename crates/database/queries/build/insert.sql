-- $1 id, $2 project, $3 odoo, $4 python, $5 addons, $6 modules
INSERT INTO ops.builds (id, project_id, state, odoo, python, addons, modules)
VALUES ($1, $2, 'building', $3, $4, $5, $6)

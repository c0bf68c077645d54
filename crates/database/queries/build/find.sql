-- $1 id
SELECT id, project_id, project, state, odoo, python, addons, modules, odoo_version, created_at, run_id
FROM ops.build_details
WHERE id = $1

-- $1 project or null for all
SELECT id, project_id, project, state, odoo, python, addons, modules, odoo_version, created_at, run_id
FROM ops.build_details
WHERE $1::uuid IS NULL OR project_id = $1
ORDER BY id DESC

-- $1 project or null for all, $2 before this id or null, $3 at most
SELECT id, project_id, project, state, odoo, python, addons, modules, odoo_version, created_at, run_id
FROM ops.build_details
WHERE ($1::uuid IS NULL OR project_id = $1) AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3

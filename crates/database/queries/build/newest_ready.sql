-- $1 project
SELECT id FROM ops.builds WHERE project_id = $1 AND state = 'ready' ORDER BY id DESC LIMIT 1

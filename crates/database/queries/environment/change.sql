-- $1 id, $2 build
UPDATE ops.environments SET build_id = $2, version = version + 1 WHERE id = $1

-- $1 id
UPDATE ops.environments SET archived_at = now() WHERE id = $1 AND archived_at IS NULL

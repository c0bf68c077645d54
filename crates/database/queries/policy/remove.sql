-- $1 id, $2 the version it must have, or null
DELETE FROM ops.policies WHERE id = $1 AND ($2::bigint IS NULL OR version = $2)

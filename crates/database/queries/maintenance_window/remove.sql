-- $1 id
DELETE FROM ops.maintenance_windows WHERE id = $1

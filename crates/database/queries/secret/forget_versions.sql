-- $1 secret, $2 the last version that goes
DELETE FROM ops.secret_versions WHERE secret_id = $1 AND version <= $2

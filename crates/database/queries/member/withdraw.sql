-- $1 environment, $2 user, $3 permission
DELETE FROM ops.env_permissions WHERE environment_id = $1 AND user_id = $2 AND permission = $3

-- $1 id
SELECT state FROM ops.tenants WHERE id = $1 FOR UPDATE

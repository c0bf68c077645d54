-- $1 id
SELECT count(*) FROM ops.tenants WHERE environment_id = $1 AND state <> 'archived'

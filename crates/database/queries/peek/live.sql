-- $1 tenant
SELECT count(*) FROM ops.peeks WHERE tenant_id = $1 AND state IN ('opening', 'open', 'ending')

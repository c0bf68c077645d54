-- $1 tenant, $2 the reason
UPDATE ops.peeks SET state = 'ending', reason = $2 WHERE tenant_id = $1 AND state = 'open'

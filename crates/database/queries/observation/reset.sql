-- What was seen is not what is served any more. $1 tenant
UPDATE ops.tenant_observations
SET serving = 'starting', http = NULL, gevent = NULL, cell_port = NULL, changed_at = now()
WHERE tenant_id = $1

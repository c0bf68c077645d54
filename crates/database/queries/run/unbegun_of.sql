-- $1 tenant
SELECT id FROM ops.runs
WHERE tenant_id = $1 AND state IN ('waiting', 'queued') AND kind <> 'expire' ORDER BY id

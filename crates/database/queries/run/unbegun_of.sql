-- $1 tenant
SELECT id FROM ops.run_details
WHERE tenant_id = $1 AND state IN ('waiting', 'queued') AND kind <> 'expire' ORDER BY id

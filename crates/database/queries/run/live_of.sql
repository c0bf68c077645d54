-- $1 tenant, $2 kinds
SELECT kind FROM ops.runs
WHERE tenant_id = $1 AND state IN ('waiting', 'queued') AND kind = ANY ($2::text[]) LIMIT 1

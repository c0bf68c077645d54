-- Given up: tried as often as they may be, or their worker lost too often. $1 now, $2 told of for seconds
SELECT r.id, r.kind, r.project_id, t.name AS tenant, COALESCE(r.reason, 'nobody said why') AS reason
FROM ops.runs r LEFT JOIN ops.tenants t ON t.id = r.tenant_id
WHERE r.state = 'dead'
  AND r.ended_at > $1::timestamptz - make_interval(secs => $2)
ORDER BY r.id DESC LIMIT 200

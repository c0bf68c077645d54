-- Of tenants in production: under way, or asked for or ended a moment ago. $1 now, $2 a moment in seconds
SELECT r.id, t.name AS tenant, e.project_id, r.state
FROM ops.restores r
JOIN ops.tenants t ON t.id = r.tenant_id
JOIN ops.environments e ON e.id = t.environment_id
WHERE e.stage = 'production'
  AND (r.state IN ('materialising', 'switching', 'switched')
       OR GREATEST(r.created_at, r.ended_at) > $1::timestamptz - make_interval(secs => $2))
ORDER BY r.id DESC LIMIT 200

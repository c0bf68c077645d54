-- $1 now, $2 told of for seconds where no tenant is served there
SELECT w.name, w.gone_at, count(t.id) AS clusters
FROM ops.workers w
LEFT JOIN ops.clusters c ON c.worker_id = w.id AND c.state = 'ready'
LEFT JOIN ops.tenant_databases d ON d.cluster_id = c.id
LEFT JOIN ops.tenants t ON t.tenant_database_id = d.id AND t.state <> 'archived'
WHERE w.gone_at IS NOT NULL
GROUP BY w.name, w.gone_at
HAVING count(t.id) > 0 OR w.gone_at > $1::timestamptz - make_interval(secs => $2)
ORDER BY w.name LIMIT 200

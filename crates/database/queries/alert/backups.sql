-- Active tenants whose newest backup is too old, or whose last try failed. $1 now, $2 too old from seconds on
SELECT t.id, t.name, e.project_id, age.seconds AS age, CASE WHEN last.state IN ('failed', 'dead') THEN last.reason END AS failed
FROM ops.tenants t
JOIN ops.environments e ON e.id = t.environment_id
JOIN ops.tenant_databases d ON d.id = t.tenant_database_id
JOIN ops.lineages l ON l.id = d.lineage_id
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM $1::timestamptz - COALESCE(max(b.stopped_at), l.activated_at, t.created_at))
               ::double precision AS seconds
    FROM ops.base_backups b WHERE b.lineage_id = d.lineage_id) age
LEFT JOIN LATERAL (
    SELECT r.state, r.reason FROM ops.runs r
    WHERE r.tenant_id = t.id AND r.kind = 'backup' AND r.ended_at IS NOT NULL AND r.state <> 'cancelled'
    ORDER BY r.id DESC LIMIT 1) last ON true
WHERE t.state = 'active' AND (age.seconds > $2 OR last.state IN ('failed', 'dead'))
ORDER BY t.id LIMIT 200

-- Tenants whose repository holds more than retention keeps and was not thinned for $2 seconds. $1 retention in seconds
SELECT DISTINCT b.tenant_id
FROM ops.base_backups b
WHERE b.stopped_at < now() - make_interval(secs => $1)
  AND NOT EXISTS (SELECT FROM ops.runs r
                  WHERE r.tenant_id = b.tenant_id AND r.kind = 'expire'
                    AND (r.state IN ('queued', 'running') OR r.ended_at > now() - make_interval(secs => $2)))
ORDER BY b.tenant_id

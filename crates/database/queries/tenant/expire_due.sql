-- Tenants whose history is looked through: a day after they were made, and $1 seconds after the last time; and those
-- whose snapshots' terms the repository has not heard of, $2 seconds after the last time.
SELECT t.id AS tenant_id, bool_or(w.sweep) AS sweep
FROM ops.tenants t
CROSS JOIN LATERAL (
    SELECT true AS sweep, make_interval(secs => $1) AS pause
    WHERE t.created_at < now() - make_interval(secs => $1)
    UNION ALL
    SELECT false, make_interval(secs => $2)
    WHERE EXISTS (SELECT FROM ops.snapshots s
                  WHERE s.tenant_id = t.id AND s.terms_kept < s.terms AND s.state IN ('ready', 'restoring'))
) w
WHERE t.shredded_at IS NULL
  AND t.state IN ('active', 'suspended', 'archived')
  AND NOT EXISTS (SELECT FROM ops.runs r
                  WHERE r.tenant_id = t.id AND r.kind = 'expire'
                    AND (r.state = 'queued' OR r.ended_at > now() - w.pause))
GROUP BY t.id
ORDER BY t.id

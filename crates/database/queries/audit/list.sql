-- Newest first. $1 only this project's; all zeros: what belongs to none. $2 only acts that are this, or begin
-- with it and a dot. $3 since. $4 before this id. $5 at most. $6 only what is about this: changed it, was led
-- to by it, or is about a run of it.
SELECT a.id, CASE WHEN a.at BETWEEN '2000-01-01' AND '9000-01-01' THEN a.at ELSE '2000-01-01' END AS at, a.project_id, a.actor,
       a.via, a.address, a.request, a.run_id, a.act, a.subjects::text AS subjects, a.detail::text AS detail,
       p.name AS project,
       CASE split_part(a.actor, ':', 1)
           WHEN 'user' THEN (SELECT u.login FROM ops.users u WHERE u.id::text = split_part(a.actor, ':', 2))
           WHEN 'key' THEN (SELECT k.name FROM ops.api_keys k WHERE k.id::text = split_part(a.actor, ':', 2))
           WHEN 'worker' THEN (SELECT w.name FROM ops.workers w WHERE w.id::text = split_part(a.actor, ':', 2))
       END AS actor_name
FROM ops.audit a LEFT JOIN ops.projects p ON p.id = a.project_id
WHERE ($1::uuid IS NULL
       OR a.project_id IS NOT DISTINCT FROM NULLIF($1, '00000000-0000-0000-0000-000000000000'::uuid))
  AND ($2::text IS NULL OR a.act = $2 OR starts_with(a.act, $2 || '.'))
  AND ($3::timestamptz IS NULL OR a.at >= $3)
  AND ($4::bigint IS NULL OR a.id < $4)
  AND ($6::uuid IS NULL OR a.id IN (
      SELECT s.id FROM ops.audit s WHERE s.act NOT LIKE 'runs.%' AND s.subjects @> ARRAY[$6]
      UNION ALL
      SELECT s.id FROM ops.audit s WHERE s.run_id = $6
      UNION ALL
      SELECT s.id
      FROM ops.runs r
      JOIN ops.audit s ON s.project_id = r.project_id AND s.act LIKE 'runs.%' AND s.subjects @> ARRAY[r.id]
       -- A run that is queued again forgets when it was queued first; its id does not.
       AND s.at >= LEAST(r.queued_at, to_timestamp(('x' || substr(replace(r.id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0))
                   - interval '1 minute'
       AND s.at <= COALESCE(r.ended_at, now()) + interval '1 minute'
      WHERE r.id = $6 OR r.tenant_id = $6 OR r.build_id = $6))
ORDER BY a.id DESC
LIMIT $5

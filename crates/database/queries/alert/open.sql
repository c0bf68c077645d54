-- Opens what is not open yet. One array each: $1 ids, $2 kinds, $3 subjects, $4 projects, $5 severities, $6 details;
-- $7 now
INSERT INTO ops.alerts (id, kind, subject, project_id, severity, detail, opened_at)
SELECT f.id, f.kind, f.subject, f.project_id, f.severity, f.detail, $7
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[])
     AS f (id, kind, subject, project_id, severity, detail)
ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO NOTHING
RETURNING id

-- Newest first. $1 project or null, $2 state or null, $3 after this one or null, $4 at most
SELECT a.id, p.name AS project, e.name AS environment, a.act, a.run_id, a.summary, a.state, a.needed, a.roles,
       COALESCE(ops.name_of(a.requester), a.requester) AS requester, a.asked_at, a.expires_at, a.decided_at,
       CASE a.state WHEN 'pending' THEN ops.deciders(a.id) END AS deciders,
       (SELECT jsonb_agg(jsonb_build_object('by', COALESCE(u.login, 'an operator'), 'decision', d.decision,
                                            'note', d.note, 'decided_at', d.decided_at) ORDER BY d.decided_at)
        FROM ops.approval_decisions d LEFT JOIN ops.users u ON u.id = d.user_id
        WHERE d.approval_id = a.id) AS decisions
FROM ops.approvals a
JOIN ops.projects p ON p.id = a.project_id
LEFT JOIN ops.environments e ON e.id = a.environment_id
WHERE ($1::uuid IS NULL OR a.project_id = $1) AND ($2::text IS NULL OR a.state = $2)
  AND ($3::uuid IS NULL OR (a.asked_at, a.id) < (SELECT b.asked_at, b.id FROM ops.approvals b WHERE b.id = $3))
ORDER BY a.asked_at DESC, a.id DESC LIMIT $4

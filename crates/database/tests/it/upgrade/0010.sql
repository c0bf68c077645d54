-- Acts that need approval: one that waits, one that was decided.
INSERT INTO ops.policies (id, project_id, act, stage, approvals) VALUES
    ('01900000-0000-7000-8000-000000009901', '01900000-0000-7000-8000-0000000000a1', 'archive_tenant', 'production', 1);
INSERT INTO ops.approvals (id, project_id, environment_id, act, subject, summary, state, needed, roles, requester, requester_id, expires_at) VALUES
    ('01900000-0000-7000-8000-000000009911', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-0000000000e1',
     'archive_tenant', 'acme', 'archive acme', 'pending', 1, '{owner,admin}', 'user:01900000-0000-7000-8000-000000006603',
     '01900000-0000-7000-8000-000000006603', now() + interval '1 day'),
    ('01900000-0000-7000-8000-000000009912', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-0000000000e1',
     'archive_tenant', 'begun', 'archive begun', 'pending', 1, '{owner,admin}', 'user:01900000-0000-7000-8000-000000006603',
     '01900000-0000-7000-8000-000000006603', now() + interval '1 day');
INSERT INTO ops.approval_decisions (approval_id, user_id, decision, through) VALUES
    ('01900000-0000-7000-8000-000000009912', '01900000-0000-7000-8000-000000006601', 'approve', 'session');
UPDATE ops.approvals SET state = 'granted', decided_at = now() WHERE id = '01900000-0000-7000-8000-000000009912';

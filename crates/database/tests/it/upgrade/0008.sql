-- A run that waits for another one, one that has used up its attempts, and a cap.
INSERT INTO ops.runs (id, kind, state, project_id, requester, max_attempts, attempts, reason, started_at, ended_at) VALUES
    ('01900000-0000-7000-8000-000000008821', 'probe', 'waiting', '01900000-0000-7000-8000-0000000000a1', 'platform', 3, 0, NULL, NULL, NULL),
    ('01900000-0000-7000-8000-000000008822', 'probe', 'dead', '01900000-0000-7000-8000-0000000000a1', 'platform', 3, 3, 'it failed three times', now(), now());
INSERT INTO ops.run_dependencies (run_id, after_id) VALUES
    ('01900000-0000-7000-8000-000000008821', '01900000-0000-7000-8000-000000008801');
INSERT INTO ops.queue_caps (project_id, kind, at_most) VALUES
    ('01900000-0000-7000-8000-0000000000a1', 'backup', 2);

-- People of projects, and a key of one of them.
INSERT INTO ops.users (id, login, operator) VALUES ('01900000-0000-7000-8000-000000006603', 'grace', false);
INSERT INTO ops.project_members (project_id, user_id, role, version) VALUES
    ('01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000006603', 'developer', 2),
    ('01900000-0000-7000-8000-0000000000a2', '01900000-0000-7000-8000-000000006602', 'owner', 1);
INSERT INTO ops.env_permissions (environment_id, user_id, permission) VALUES
    ('01900000-0000-7000-8000-0000000000e1', '01900000-0000-7000-8000-000000006603', 'operate');
INSERT INTO ops.api_keys (id, name, prefix, secret_hash, user_id, project_id, scopes, expires_at) VALUES
    ('01900000-0000-7000-8000-000000007703', 'ci', 'graces', sha256('x'), '01900000-0000-7000-8000-000000006603',
     '01900000-0000-7000-8000-0000000000a1', '{read,develop}', now() + interval '30 days');

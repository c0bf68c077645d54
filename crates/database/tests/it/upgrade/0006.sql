-- A platform that has been used for a while, as the migrations up to 0006 kept
-- it: a row in every state of every table. Ids end with what they are of.

INSERT INTO ops.projects (id, name, created_at) VALUES
    ('01900000-0000-7000-8000-0000000000a1', 'demo',  '2026-05-01 08:00:00.123456Z'),
    ('01900000-0000-7000-8000-0000000000a2', 'other', '2026-05-02 08:00:00Z');

INSERT INTO ops.builds (id, project_id, state, odoo, python, addons, modules, odoo_version) VALUES
    ('01900000-0000-7000-8000-0000000000b1', '01900000-0000-7000-8000-0000000000a1', 'ready', '/opt/odoo', '/opt/venv/bin/python', '{/opt/addons}', '{base,web}', '18.0'),
    ('01900000-0000-7000-8000-0000000000b2', '01900000-0000-7000-8000-0000000000a2', 'ready', '/opt/odoo', NULL, '{}', '{base}', '11.0'),
    ('01900000-0000-7000-8000-0000000000b3', '01900000-0000-7000-8000-0000000000a1', 'building', '/opt/new', NULL, '{}', '{base}', NULL),
    ('01900000-0000-7000-8000-0000000000b4', '01900000-0000-7000-8000-0000000000a1', 'failed', '/opt/bad', NULL, '{}', '{base}', NULL);

INSERT INTO ops.environments (id, project_id, name, stage, build_id) VALUES
    ('01900000-0000-7000-8000-0000000000e1', '01900000-0000-7000-8000-0000000000a1', 'live', 'production', '01900000-0000-7000-8000-0000000000b1'),
    ('01900000-0000-7000-8000-0000000000e2', '01900000-0000-7000-8000-0000000000a1', 'next', 'staging', '01900000-0000-7000-8000-0000000000b1'),
    ('01900000-0000-7000-8000-0000000000e3', '01900000-0000-7000-8000-0000000000a1', 'try', 'development', '01900000-0000-7000-8000-0000000000b1'),
    ('01900000-0000-7000-8000-0000000000e4', '01900000-0000-7000-8000-0000000000a2', 'live', 'production', '01900000-0000-7000-8000-0000000000b2');

INSERT INTO ops.workers (id, name, version, seen_at, gone_at) VALUES
    ('01900000-0000-7000-8000-0000000000d1', 'here', '0.1.0', now(), NULL),
    ('01900000-0000-7000-8000-0000000000d2', 'lost', '0.0.9', '2026-05-01Z', '2026-05-02Z');

INSERT INTO ops.clusters (id, kind, state, worker_id, fenced_at, dropped_at) VALUES
    ('01900000-0000-7000-8000-0000000000c1', 'cell', 'ready', '01900000-0000-7000-8000-0000000000d1', NULL, NULL),
    ('01900000-0000-7000-8000-0000000000c2', 'cell', 'fenced', '01900000-0000-7000-8000-0000000000d1', '2026-05-03Z', NULL),
    ('01900000-0000-7000-8000-0000000000c3', 'cell', 'dropped', '01900000-0000-7000-8000-0000000000d1', '2026-05-03Z', '2026-05-12Z'),
    ('01900000-0000-7000-8000-0000000000c4', 'cell', 'creating', '01900000-0000-7000-8000-0000000000d1', NULL, NULL),
    ('01900000-0000-7000-8000-0000000000c5', 'cell', 'ready', '01900000-0000-7000-8000-0000000000d1', NULL, NULL),
    ('01900000-0000-7000-8000-0000000000c6', 'cell', 'ready', '01900000-0000-7000-8000-0000000000d1', NULL, NULL);

INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier, subscription_ends_at, version, archived_at) VALUES
    ('01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-0000000000e1', 'acme', 'acme', 'acme', 'draft', 'pro', '2030-01-01Z', 7, NULL),
    ('01900000-0000-7000-8000-000000000f02', '01900000-0000-7000-8000-0000000000e1', 'begun', 'begun', 'begun', 'provisioning', 'basic', NULL, 1, NULL),
    ('01900000-0000-7000-8000-000000000f03', '01900000-0000-7000-8000-0000000000e2', 'resting', 'resting', 'resting', 'draft', 'basic', NULL, 3, NULL),
    ('01900000-0000-7000-8000-000000000f04', '01900000-0000-7000-8000-0000000000e3', 'drafted', 'drafted', 'drafted', 'draft', 'enterprise', NULL, 1, NULL),
    ('01900000-0000-7000-8000-000000000f05', '01900000-0000-7000-8000-0000000000e4', 'theirs', 'theirs', 'theirs', 'draft', 'basic', NULL, 2, NULL),
    ('01900000-0000-7000-8000-000000000f06', '01900000-0000-7000-8000-0000000000e4', 'ended', 'ended', 'ended', 'archived', 'basic', NULL, 9, '2026-05-10Z');

INSERT INTO ops.lineages (id, tenant_id, parent_id, fork_lsn, timeline, system_identifier, segment_size, database, activated_at) VALUES
    ('01900000-0000-7000-8000-000000001101', '01900000-0000-7000-8000-000000000f01', NULL, NULL, 1, 18446744073709551614, 16777216, 'acme', '2026-05-01Z'),
    ('01900000-0000-7000-8000-000000001102', '01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-000000001101', '0/3000148', 2, 18446744073709551614, 16777216, 'acme', '2026-05-03Z'),
    ('01900000-0000-7000-8000-000000001103', '01900000-0000-7000-8000-000000000f03', NULL, NULL, 1, 7, 1048576, 'resting', '2026-05-01Z'),
    ('01900000-0000-7000-8000-000000001104', '01900000-0000-7000-8000-000000000f05', NULL, NULL, 1, 8, 1048576, 'theirs', '2026-05-01Z');

INSERT INTO ops.tenant_databases (id, tenant_id, cluster_id, lineage_id, database) VALUES
    ('01900000-0000-7000-8000-000000002201', '01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-0000000000c2', '01900000-0000-7000-8000-000000001101', 'acme'),
    ('01900000-0000-7000-8000-000000002202', '01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-0000000000c1', '01900000-0000-7000-8000-000000001102', 'acme'),
    ('01900000-0000-7000-8000-000000002203', '01900000-0000-7000-8000-000000000f03', '01900000-0000-7000-8000-0000000000c5', '01900000-0000-7000-8000-000000001103', 'resting'),
    ('01900000-0000-7000-8000-000000002204', '01900000-0000-7000-8000-000000000f05', '01900000-0000-7000-8000-0000000000c6', '01900000-0000-7000-8000-000000001104', 'theirs');

UPDATE ops.tenants SET state = 'active', tenant_database_id = '01900000-0000-7000-8000-000000002202' WHERE name = 'acme';
UPDATE ops.tenants SET state = 'suspended', tenant_database_id = '01900000-0000-7000-8000-000000002203' WHERE name = 'resting';
UPDATE ops.tenants SET state = 'active', tenant_database_id = '01900000-0000-7000-8000-000000002204' WHERE name = 'theirs';

INSERT INTO ops.tenant_observations (tenant_id, serving, http, gevent, router_key, cell_port) VALUES
    ('01900000-0000-7000-8000-000000000f01', 'serving', '127.0.0.1:8069', '127.0.0.1:8072', 'a key', 5433),
    ('01900000-0000-7000-8000-000000000f03', 'stopped', NULL, NULL, NULL, NULL),
    ('01900000-0000-7000-8000-000000000f05', 'failing', NULL, NULL, NULL, 5434);

INSERT INTO ops.base_backups (id, tenant_id, lineage_id, start_lsn, stop_lsn, stopped_at, size, stored) VALUES
    ('01900000-0000-7000-8000-000000003301', '01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-000000001101', '0/2000000', '0/2000100', now() - interval '3 days', 30000000, 5000000),
    ('01900000-0000-7000-8000-000000003302', '01900000-0000-7000-8000-000000000f01', '01900000-0000-7000-8000-000000001102', '0/4000000', '0/4000100', now() - interval '1 hour', 30000000, 5000000);

INSERT INTO ops.snapshots (id, tenant_id, name, state, kind, lineage_id, lsn, wal_file, backup_id, size, missing_files, taken_at, expires_at) VALUES
    ('01900000-0000-7000-8000-000000004401', '01900000-0000-7000-8000-000000000f01', 'ready', 'ready', 'manual', '01900000-0000-7000-8000-000000001102', '0/4000148', '000000020000000000000004', '01900000-0000-7000-8000-000000003302', 6000000000, 0, now() - interval '10 minutes', now() + interval '5 days'),
    ('01900000-0000-7000-8000-000000004402', '01900000-0000-7000-8000-000000000f01', 'back', 'restoring', 'pre_ai', '01900000-0000-7000-8000-000000001101', '0/3000148', '000000010000000000000003', '01900000-0000-7000-8000-000000003301', 6000000000, 2, now() - interval '2 days', now() + interval '5 days'),
    ('01900000-0000-7000-8000-000000004403', '01900000-0000-7000-8000-000000000f01', 'new', 'creating', 'auto', NULL, NULL, NULL, NULL, NULL, NULL, NULL, now() + interval '7 days'),
    ('01900000-0000-7000-8000-000000004404', '01900000-0000-7000-8000-000000000f01', 'bad', 'failed', 'manual', NULL, NULL, NULL, NULL, NULL, NULL, NULL, now() + interval '7 days'),
    ('01900000-0000-7000-8000-000000004405', '01900000-0000-7000-8000-000000000f01', 'old', 'expired', 'manual', NULL, NULL, NULL, NULL, NULL, NULL, NULL, now() + interval '1 day');

INSERT INTO ops.restores (id, tenant_id, state, snapshot_id, at, plan, shown, to_database_id, reason, ended_at) VALUES
    ('01900000-0000-7000-8000-000000005501', '01900000-0000-7000-8000-000000000f01', 'planning', NULL, '2026-05-02Z', NULL, NULL, NULL, NULL, NULL),
    ('01900000-0000-7000-8000-000000005502', '01900000-0000-7000-8000-000000000f01', 'planned', NULL, '2026-05-02Z', '{}', '{}', NULL, NULL, NULL),
    ('01900000-0000-7000-8000-000000005503', '01900000-0000-7000-8000-000000000f01', 'materialising', '01900000-0000-7000-8000-000000004402', NULL, '{"stop": "end"}', '{"steps": []}', NULL, NULL, NULL),
    ('01900000-0000-7000-8000-000000005504', '01900000-0000-7000-8000-000000000f03', 'switching', NULL, '2026-05-02Z', '{}', '{}', '01900000-0000-7000-8000-000000002203', NULL, NULL),
    ('01900000-0000-7000-8000-000000005505', '01900000-0000-7000-8000-000000000f03', 'switched', NULL, '2026-05-02Z', '{}', '{}', '01900000-0000-7000-8000-000000002203', NULL, NULL),
    ('01900000-0000-7000-8000-000000005506', '01900000-0000-7000-8000-000000000f01', 'succeeded', NULL, '2026-05-02Z', '{}', '{}', '01900000-0000-7000-8000-000000002202', NULL, '2026-05-03Z'),
    ('01900000-0000-7000-8000-000000005507', '01900000-0000-7000-8000-000000000f01', 'failed', NULL, '2026-05-02Z', NULL, NULL, NULL, 'no WAL there', '2026-05-03Z');

INSERT INTO ops.users (id, login, password_hash, one_time_hash, one_time_expires_at) VALUES
    ('01900000-0000-7000-8000-000000006601', 'admin', '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', NULL, NULL),
    ('01900000-0000-7000-8000-000000006602', 'ada', NULL, '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', now() + interval '1 day');

INSERT INTO ops.sessions (token_hash, user_id, csrf, must_set_password, expires_at) VALUES
    (sha256('an old session'), '01900000-0000-7000-8000-000000006601', 'csrf', false, now() + interval '1 hour');

INSERT INTO ops.sign_in_failures (login, address, failures, locked_until) VALUES
    ('admin', '192.0.2.1', 5, now() + interval '1 minute');

INSERT INTO ops.api_keys (id, name, prefix, secret_hash, last_used_at, revoked_at) VALUES
    ('01900000-0000-7000-8000-000000007701', 'the command line', 'oldkey', sha256('secret of an old key'), now(), NULL),
    ('01900000-0000-7000-8000-000000007702', 'lost laptop', 'revoked', sha256('another'), NULL, '2026-05-03Z');

-- Runs of every kind, in every state.
INSERT INTO ops.runs (id, kind, state, project_id, tenant_id, build_id, snapshot_id, restore_id, payload, requester, idempotency_key, request_hash, attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at, started_at, ended_at) VALUES
    ('01900000-0000-7000-8000-000000008801', 'build', 'queued', '01900000-0000-7000-8000-0000000000a1', NULL, '01900000-0000-7000-8000-0000000000b3', NULL, NULL, '{}', 'key:01900000-0000-7000-8000-000000007701', 'build-1', sha256('a request'), 0, 0, NULL, false, NULL, NULL, NULL, now() - interval '1 minute', NULL, NULL),
    ('01900000-0000-7000-8000-000000008802', 'provision', 'running', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f02', NULL, NULL, NULL, '{"password_hash": "x"}', 'user:01900000-0000-7000-8000-000000006601', NULL, NULL, 2, 1, nextval('ops.fences'), true, NULL, NULL, 0.5, now() - interval '3 minutes', now() - interval '2 minutes', NULL),
    ('01900000-0000-7000-8000-000000008803', 'snapshot', 'succeeded', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f01', NULL, '01900000-0000-7000-8000-000000004401', NULL, '{}', 'platform', 'once', sha256('once'), 1, 0, nextval('ops.fences'), false, NULL, NULL, 1, now() - interval '12 minutes', now() - interval '11 minutes', now() - interval '10 minutes'),
    ('01900000-0000-7000-8000-000000008804', 'snapshot', 'failed', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f01', NULL, '01900000-0000-7000-8000-000000004404', NULL, '{}', 'platform', NULL, NULL, 3, 3, nextval('ops.fences'), false, 'its worker was lost 3 times', 'look', NULL, now() - interval '1 day', now() - interval '1 day', now() - interval '1 day'),
    ('01900000-0000-7000-8000-000000008805', 'backup', 'cancelled', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f01', NULL, NULL, NULL, '{}', 'platform', NULL, NULL, 0, 0, NULL, false, 'cancelled before it had started', NULL, NULL, now() - interval '1 day', NULL, now() - interval '1 day'),
    ('01900000-0000-7000-8000-000000008806', 'plan_restore', 'queued', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f01', NULL, NULL, '01900000-0000-7000-8000-000000005501', '{}', 'user:01900000-0000-7000-8000-000000006601', NULL, NULL, 1, 1, nextval('ops.fences'), false, NULL, NULL, NULL, now(), NULL, NULL),
    ('01900000-0000-7000-8000-000000008807', 'restore', 'running', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f03', NULL, NULL, '01900000-0000-7000-8000-000000005504', '{}', 'user:01900000-0000-7000-8000-000000006601', NULL, NULL, 1, 0, nextval('ops.fences'), false, NULL, NULL, 0.9, now(), now(), NULL),
    ('01900000-0000-7000-8000-000000008808', 'backup', 'queued', '01900000-0000-7000-8000-0000000000a2', '01900000-0000-7000-8000-000000000f05', NULL, NULL, NULL, '{}', 'platform', NULL, NULL, 0, 0, NULL, false, NULL, NULL, NULL, now(), NULL, NULL),
    ('01900000-0000-7000-8000-000000008809', 'expire', 'queued', '01900000-0000-7000-8000-0000000000a2', '01900000-0000-7000-8000-000000000f06', NULL, NULL, NULL, '{}', 'platform', NULL, NULL, 0, 0, NULL, false, NULL, NULL, NULL, now(), NULL, NULL),
    ('01900000-0000-7000-8000-000000008810', 'snapshot', 'queued', '01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000f01', NULL, '01900000-0000-7000-8000-000000004403', NULL, '{}', 'platform', NULL, NULL, 0, 0, NULL, false, NULL, NULL, NULL, now(), NULL, NULL),
    ('01900000-0000-7000-8000-000000008811', 'build', 'failed', '01900000-0000-7000-8000-0000000000a1', NULL, '01900000-0000-7000-8000-0000000000b4', NULL, NULL, '{}', 'platform', NULL, NULL, 1, 0, nextval('ops.fences'), false, 'no such folder', NULL, NULL, now(), now(), now());

INSERT INTO ops.leases (run_id, tenant_id, worker_id, fence, expires_at)
SELECT id, tenant_id, '01900000-0000-7000-8000-0000000000d1', fence, now() + interval '10 seconds'
FROM ops.runs WHERE state = 'running';

INSERT INTO ops.run_events (run_id, at, level, message, progress)
SELECT r.id, r.queued_at + make_interval(secs => n), (ARRAY['debug', 'info', 'warning', 'error'])[1 + n % 4],
       'line ' || n, CASE WHEN n % 3 = 0 THEN n / 30.0 END
FROM ops.runs r, generate_series(1, 25) n ORDER BY n, r.id;

-- Two projects, alpha and beta, with one of everything in each: an environment
-- `staging` and one of production, a tenant in each. Whoever makes a table adds
-- rows of both projects here, and the table's line to lines.rs.

INSERT INTO ops.users (id, login) SELECT gen_random_uuid(), login
FROM unnest(ARRAY['viewer', 'tester', 'developer', 'admin', 'owner', 'granted', 'disabled', 'stranger', 'both',
                  'beta-viewer', 'beta-owner']) AS login;
INSERT INTO ops.users (id, login, operator) VALUES (gen_random_uuid(), 'operator', true);
UPDATE ops.users SET disabled_at = now() WHERE login = 'disabled';
INSERT INTO ops.sessions (token_hash, user_id, csrf, must_set_password, expires_at)
SELECT decode(md5(login) || md5(login), 'hex'), id, 'csrf', false, now() + interval '1 hour' FROM ops.users;
INSERT INTO ops.sign_in_failures (login, address, failures) VALUES ('viewer', '10.0.0.1', 1);

-- `holder` holds runs of alpha and hosts its tenants, `host` only hosts beta's,
-- `busy` only holds one of beta's.
INSERT INTO ops.workers (id, name, version)
SELECT gen_random_uuid(), name, '0' FROM unnest(ARRAY['holder', 'host', 'idle', 'busy']) AS name;
INSERT INTO ops.worker_disks (worker_id, place, total, free) SELECT id, 'data', 2, 1 FROM ops.workers;

DO $$
DECLARE
    project text;
    of_project uuid;
    made uuid;
    at_stage text;
    in_environment uuid;
    tenant uuid;
    cluster uuid;
    lineage uuid;
    backup uuid;
    snapshot uuid;
    restore uuid;
    key uuid;
    secret uuid;
BEGIN
    FOREACH project IN ARRAY ARRAY['alpha', 'beta'] LOOP
        of_project := gen_random_uuid();
        made := gen_random_uuid();
        INSERT INTO ops.projects (id, name) VALUES (of_project, project);
        INSERT INTO ops.builds (id, project_id, state, odoo, addons, modules, odoo_version)
            VALUES (made, of_project, 'ready', '/odoo', '{}', '{base}', '18.0'),
                   (gen_random_uuid(), of_project, 'building', '/odoo', '{}', '{base}', NULL);
        INSERT INTO ops.runs (id, kind, state, project_id, build_id, requester, reason, started_at, ended_at)
            SELECT gen_random_uuid(), 'build', 'failed', of_project, b.id, 'platform', 'why', now(), now()
            FROM ops.builds b WHERE b.project_id = of_project;
        INSERT INTO ops.alerts (id, kind, subject, project_id, severity, detail, opened_at)
            VALUES (gen_random_uuid(), 'backup_failed', project, of_project, 'warning', 'why', now());
        INSERT INTO ops.maintenance_windows (id, project_id, name, cron, zone, minutes)
            VALUES (gen_random_uuid(), of_project, 'night', '0 2 * * *', 'UTC', 60);
        FOREACH at_stage IN ARRAY ARRAY['staging', 'production'] LOOP
            in_environment := gen_random_uuid();
            tenant := gen_random_uuid();
            cluster := gen_random_uuid();
            lineage := gen_random_uuid();
            backup := gen_random_uuid();
            snapshot := gen_random_uuid();
            restore := gen_random_uuid();
            key := gen_random_uuid();
            secret := gen_random_uuid();
            INSERT INTO ops.environments (id, project_id, name, stage, build_id)
                VALUES (in_environment, of_project, at_stage, at_stage, made);
            INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier)
                VALUES (tenant, in_environment, project || '-' || at_stage, project || '-' || at_stage, 'odoo', 'draft',
                        'basic');
            INSERT INTO ops.clusters (id, kind, state, worker_id)
                SELECT cluster, 'cell', 'ready', w.id FROM ops.workers w
                WHERE w.name = CASE project WHEN 'alpha' THEN 'holder' ELSE 'host' END;
            INSERT INTO ops.lineages (id, tenant_id, timeline, system_identifier, segment_size, database)
                VALUES (lineage, tenant, 1, 1, 1048576, 'odoo');
            INSERT INTO ops.tenant_databases (id, tenant_id, cluster_id, lineage_id, database)
                VALUES (gen_random_uuid(), tenant, cluster, lineage, 'odoo');
            INSERT INTO ops.tenant_observations (tenant_id, serving) VALUES (tenant, 'starting');
            INSERT INTO ops.tenant_wal (tenant_id, bytes) VALUES (tenant, 1);
            INSERT INTO ops.base_backups (id, tenant_id, lineage_id, start_lsn, stop_lsn, stopped_at, size, stored)
                VALUES (backup, tenant, lineage, '0/100', '0/200', now(), 1, 1);
            INSERT INTO ops.snapshots (id, tenant_id, name, state, kind, expires_at)
                VALUES (snapshot, tenant, 'before', 'creating', 'manual', now() + interval '1 day');
            INSERT INTO ops.restores (id, tenant_id, state, at) VALUES (restore, tenant, 'planning', now());
            INSERT INTO ops.runs (id, kind, state, project_id, tenant_id, snapshot_id, restore_id, requester, reason,
                                  started_at, ended_at)
                VALUES (gen_random_uuid(), 'snapshot', 'failed', of_project, tenant, snapshot, NULL, 'platform', 'why',
                        now(), now()),
                       (gen_random_uuid(), 'restore', 'failed', of_project, tenant, NULL, restore, 'platform', 'why',
                        now(), now()),
                       (gen_random_uuid(), 'provision', 'failed', of_project, tenant, NULL, NULL, 'platform', 'why',
                        now(), now());
            -- One that is being made, and one on a host that has nothing else of its tenant.
            INSERT INTO ops.peeks (id, tenant_id, state, run_id, at, seconds, worker_id, port, opened_at, expires_at)
                SELECT gen_random_uuid(), tenant, 'opening', gen_random_uuid(), now(), 60, NULL, NULL, NULL, NULL
                UNION ALL
                SELECT gen_random_uuid(), tenant, 'open', gen_random_uuid(), now(), 60, w.id, 18000, now(), now()
                FROM ops.workers w WHERE w.name = 'idle';
            INSERT INTO ops.schedules (id, project_id, environment_id, tenant_id, name, action, cron, zone, catch_up,
                                       planned_at)
                VALUES (gen_random_uuid(), of_project, in_environment, tenant, at_stage, 'snapshot', '0 3 * * *', 'UTC',
                        'once', now());
            INSERT INTO ops.data_keys (id, project_id, environment_id, tenant_id, wrapped, wrapped_by)
                VALUES (key, of_project, in_environment, tenant, decode(repeat('00', 60), 'hex'), '00000000');
            INSERT INTO ops.secrets (id, project_id, environment_id, tenant_id, name)
                VALUES (secret, of_project, in_environment, tenant, 'TOKEN');
            INSERT INTO ops.secret_versions (secret_id, version, data_key_id, sealed, fingerprint)
                VALUES (secret, 1, key, decode(repeat('00', 40), 'hex'), '0000000000000000');
        END LOOP;
        INSERT INTO ops.audit_blocks (chain, number, after, through, ids, hashes, rows, previous, hash, sealed_at, key,
                                      signature)
            SELECT of_project, 1, 0, 1, '{1}', zeros, 1, zeros, zeros, now(), zeros, zeros || zeros
            FROM decode(repeat('00', 32), 'hex') AS zeros;
    END LOOP;
END $$;

INSERT INTO ops.alerts (id, kind, subject, severity, detail, opened_at)
    VALUES (gen_random_uuid(), 'connections', 'postgres', 'warning', 'why', now());

INSERT INTO ops.project_members (project_id, user_id, role)
SELECT p.id, u.id, m.role
FROM (VALUES ('alpha', 'viewer', 'viewer'), ('alpha', 'tester', 'tester'), ('alpha', 'developer', 'developer'),
             ('alpha', 'admin', 'admin'), ('alpha', 'owner', 'owner'), ('alpha', 'granted', 'tester'),
             ('alpha', 'disabled', 'owner'), ('alpha', 'both', 'owner'), ('beta', 'both', 'owner'),
             ('beta', 'beta-viewer', 'viewer'), ('beta', 'beta-owner', 'owner')) AS m (project, login, role)
JOIN ops.projects p ON p.name = m.project JOIN ops.users u ON u.login = m.login;
INSERT INTO ops.env_permissions (environment_id, user_id, permission)
SELECT e.id, u.id, g.permission
FROM (VALUES ('alpha', 'production', 'granted', 'operate'), ('beta', 'staging', 'beta-viewer', 'test'))
     AS g (project, environment, login, permission)
JOIN ops.projects p ON p.name = g.project
JOIN ops.environments e ON e.project_id = p.id AND e.name = g.environment JOIN ops.users u ON u.login = g.login;

INSERT INTO ops.api_keys (id, name, prefix, secret_hash, user_id, project_id, scopes, expires_at, revoked_at)
SELECT gen_random_uuid(), k.name, k.name, decode(repeat('00', 32), 'hex'), u.id, p.id,
       COALESCE(k.scopes, ARRAY['read', 'test', 'develop', 'operate', 'administer', 'own']), k.expires_at, k.revoked_at
FROM (VALUES ('reading', 'owner', NULL, ARRAY['read'], NULL, NULL),
             ('developing', 'owner', NULL, ARRAY['read', 'test', 'develop'], NULL, NULL),
             ('of-beta', 'both', 'beta', NULL, NULL, NULL),
             ('of-alpha', 'tester', 'alpha', ARRAY['read', 'test'], NULL, NULL),
             ('expired', 'owner', NULL, NULL, now() - interval '1 second', NULL),
             ('revoked', 'owner', NULL, NULL, NULL, now()),
             ('of-the-disabled', 'disabled', NULL, NULL, NULL, NULL),
             ('operating', 'operator', NULL, ARRAY['read', 'test'], NULL, NULL),
             ('installation', NULL, NULL, NULL, NULL::timestamptz, NULL::timestamptz))
     AS k (name, login, project, scopes, expires_at, revoked_at)
LEFT JOIN ops.users u ON u.login = k.login LEFT JOIN ops.projects p ON p.name = k.project;

-- What `busy` holds, and `holder`: a snapshot of alpha's staging, and a build.
UPDATE ops.runs r SET state = 'queued', lane = 1, turn = 3, started_at = NULL, ended_at = NULL, reason = NULL
FROM ops.tenants t WHERE t.id = r.tenant_id AND t.name = 'beta-production' AND r.kind = 'restore';
UPDATE ops.runs r SET state = 'queued', lane = 1, turn = 1, started_at = NULL, ended_at = NULL, reason = NULL
FROM ops.tenants t WHERE t.id = r.tenant_id AND t.name = 'alpha-staging' AND r.kind = 'snapshot';
UPDATE ops.runs r SET state = 'queued', lane = 1, turn = 2, started_at = NULL, ended_at = NULL, reason = NULL
FROM ops.builds b, ops.projects p
WHERE b.id = r.build_id AND b.state = 'building' AND p.id = b.project_id AND p.name = 'alpha';

INSERT INTO ops.leases (run_id, tenant_id, worker_id, fence, attempt, expires_at, project_id, kind)
SELECT r.id, r.tenant_id, w.id, r.turn, 1, now() + interval '1 hour', r.project_id, r.kind
FROM ops.runs r JOIN ops.workers w ON w.name = CASE r.turn WHEN 3 THEN 'busy' ELSE 'holder' END
WHERE r.state = 'queued' AND r.turn BETWEEN 1 AND 3;
INSERT INTO ops.run_events (run_id, project_id, at, level, message)
SELECT id, project_id, now(), 'info', 'said' FROM ops.runs;
INSERT INTO ops.queue_caps (project_id, at_most) SELECT id, 1 FROM ops.projects;
INSERT INTO ops.queue_caps (kind, at_most) VALUES ('build', 1);
INSERT INTO ops.run_ready (lane, turn, run_id, project_id, kind)
SELECT 1, row_number() OVER (), id, project_id, kind FROM ops.runs WHERE kind = 'provision';
INSERT INTO ops.run_dependencies (run_id, after_id)
SELECT a.id, b.id FROM ops.runs a JOIN ops.runs b ON b.tenant_id = a.tenant_id
WHERE a.kind = 'restore' AND b.kind = 'provision';

-- What needs approval, and what was asked for and decided.
INSERT INTO ops.policies (id, project_id, act, stage, approvals)
SELECT gen_random_uuid(), id, 'archive_tenant', 'production', 1 FROM ops.projects;
INSERT INTO ops.approvals (id, project_id, environment_id, act, subject, summary, state, needed, roles, requester,
                           expires_at)
SELECT gen_random_uuid(), e.project_id, e.id, 'archive_tenant', e.id::text, 'archive it', 'pending', 2,
       ARRAY['owner', 'admin'], 'platform', now() + interval '1 day'
FROM ops.environments e WHERE e.stage = 'production';
INSERT INTO ops.approval_decisions (approval_id, user_id, decision, through)
SELECT a.id, u.id, 'approve', 'session' FROM ops.approvals a, ops.users u WHERE u.login = 'both';
INSERT INTO ops.requests (requester, key, request_hash, made)
SELECT requester, 'k', decode(repeat('00', 32), 'hex'), gen_random_uuid()
FROM (SELECT 'user:' || id FROM ops.users WHERE login IN ('viewer', 'owner', 'beta-owner')
      UNION ALL SELECT 'key:' || id FROM ops.api_keys WHERE name IN ('reading', 'of-beta')) AS asked (requester);

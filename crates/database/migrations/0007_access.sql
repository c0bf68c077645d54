-- Who may see and do what. Decided here: row-level security is forced on every
-- table, its owner included.
--
-- heddle_owner    cannot log in; owns the tables and the definer functions
-- heddle_control  control's own acts: signing in, reconcilers, routes, schedules
-- heddle_user     what a person or an API key asks for
-- heddle_worker   what a worker reports
--
-- Who acts is said once for each transaction, in settings that end with it:
-- heddle.user, heddle.key, heddle.via, heddle.address, heddle.request,
-- heddle.worker. Unset, nobody acts, and nothing is seen. Control says only what
-- it has verified; nobody else can log in.
--
-- Policies compare a column with a set that is computed once for each query
-- (`project_id IN (SELECT ops.my_projects())`); a function called for each row
-- would take fifty times as long.

CREATE FUNCTION ops.claim(name text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('heddle.' || name, true), '');

CREATE FUNCTION ops.me() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ops.claim('user')::uuid;

CREATE FUNCTION ops.my_worker() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ops.claim('worker')::uuid;

-- Control's own acts: its connections keep the role that they logged in as.
CREATE FUNCTION ops.is_platform() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('role') = 'none';

-- What a permission lets its holder do is said where it is asked for:
--   read        see a project and all that is in it
--   test        snapshots, restores and runs of what is not production
--   develop     builds; environments and tenants that are not production
--   operate     all of that with production
--   administer  members, keys, secrets, schedules, policies
--   own         make and unmake owners
CREATE TABLE ops.roles (
    name        text PRIMARY KEY CONSTRAINT roles_name_written
                CHECK (name IN ('owner', 'admin', 'developer', 'tester', 'viewer')),
    permissions text[] NOT NULL CONSTRAINT roles_permissions_written
                CHECK (permissions <@ ARRAY['read', 'test', 'develop', 'operate', 'administer', 'own'])
);

INSERT INTO ops.roles (name, permissions) VALUES
    ('owner',     ARRAY['read', 'test', 'develop', 'operate', 'administer', 'own']),
    ('admin',     ARRAY['read', 'test', 'develop', 'operate', 'administer']),
    ('developer', ARRAY['read', 'test', 'develop']),
    ('tester',    ARRAY['read', 'test']),
    ('viewer',    ARRAY['read']);

CREATE TABLE ops.project_members (
    project_id uuid NOT NULL REFERENCES ops.projects,
    user_id    uuid NOT NULL REFERENCES ops.users,
    role       text NOT NULL REFERENCES ops.roles,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, project_id)
);

CREATE INDEX project_members_project ON ops.project_members (project_id);

-- What somebody may do with one environment beyond their role.
CREATE TABLE ops.env_permissions (
    environment_id uuid NOT NULL REFERENCES ops.environments,
    user_id        uuid NOT NULL REFERENCES ops.users,
    permission     text NOT NULL CONSTRAINT env_permissions_permission_written
                   CHECK (permission IN ('test', 'develop', 'operate')),
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, environment_id, permission)
);

CREATE INDEX env_permissions_environment ON ops.env_permissions (environment_id);

-- An operator runs the installation: every project, the workers, the users.
-- Those who were there before could do everything, and still can.
ALTER TABLE ops.users
    ADD operator boolean NOT NULL DEFAULT false,
    ADD disabled_at timestamptz,
    ADD version bigint NOT NULL DEFAULT 1;
UPDATE ops.users SET operator = true;

-- A key acts for a user, within its scopes and, if it names one, its project.
-- Without a user it is the installation's own, for an operator on the host.
ALTER TABLE ops.api_keys
    ADD user_id uuid REFERENCES ops.users,
    ADD project_id uuid REFERENCES ops.projects,
    ADD scopes text[] NOT NULL DEFAULT ARRAY['read', 'test', 'develop', 'operate', 'administer', 'own']
        CONSTRAINT api_keys_scopes_written CHECK (
            cardinality(scopes) > 0
            AND scopes <@ ARRAY['read', 'test', 'develop', 'operate', 'administer', 'own']),
    ADD expires_at timestamptz;
CREATE INDEX api_keys_user ON ops.api_keys (user_id);
CREATE INDEX api_keys_project ON ops.api_keys (project_id);

-- The functions below are the owner's: they read what their callers may not.

-- Who acts, if they may act at all: no row for nobody, a disabled user, a key
-- that is revoked or has expired. A key reaches as far as its scopes, its
-- project and its user.
CREATE VIEW ops.acting WITH (security_invoker = true) AS
    SELECT u.id AS user_id, u.operator, NULL::uuid AS project_id,
           ARRAY['read', 'test', 'develop', 'operate', 'administer', 'own'] AS scopes
    FROM ops.users u
    WHERE ops.claim('key') IS NULL AND u.id = ops.me() AND u.disabled_at IS NULL
    UNION ALL
    SELECT k.user_id, COALESCE(u.operator, true), k.project_id, k.scopes
    FROM ops.api_keys k LEFT JOIN ops.users u ON u.id = k.user_id
    WHERE k.id = ops.claim('key')::uuid AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
      AND (k.user_id IS NULL OR u.disabled_at IS NULL);

-- In PL/pgSQL, which keeps its plans: the policies call these in every query.

CREATE FUNCTION ops.myself() RETURNS uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RETURN (SELECT a.user_id FROM ops.acting a);
END $$;

-- A key that is to act as one needs every scope.
CREATE FUNCTION ops.is_operator() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RETURN EXISTS (SELECT FROM ops.acting a
                   WHERE a.operator AND a.project_id IS NULL AND 'own' = ANY (a.scopes));
END $$;

-- The projects in which the caller has a permission.
CREATE FUNCTION ops.my_projects(wanted text DEFAULT 'read') RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 50 AS $$
DECLARE
    acting record;
BEGIN
    SELECT * INTO acting FROM ops.acting;
    IF NOT FOUND OR wanted <> ALL (acting.scopes) THEN
        RETURN;
    ELSIF acting.operator THEN
        RETURN QUERY
            SELECT p.id FROM ops.projects p WHERE acting.project_id IS NULL OR p.id = acting.project_id;
    ELSE
        RETURN QUERY
            SELECT m.project_id
            FROM ops.project_members m JOIN ops.roles r ON r.name = m.role
            WHERE m.user_id = acting.user_id AND wanted = ANY (r.permissions)
              AND (acting.project_id IS NULL OR m.project_id = acting.project_id);
    END IF;
END $$;

-- The environments in which the caller has a permission, by their role or by
-- what was granted beyond it: production asks for `operate` where the others ask
-- for `test` or `develop`. A key's scopes bound what was granted, too.
CREATE FUNCTION ops.my_environments(wanted text) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 50 AS $$
DECLARE
    acting record;
    in_production text := CASE WHEN wanted IN ('test', 'develop') THEN 'operate' ELSE wanted END;
BEGIN
    SELECT * INTO acting FROM ops.acting;
    IF NOT FOUND THEN
        RETURN;
    ELSIF acting.operator THEN
        RETURN QUERY
            SELECT e.id FROM ops.environments e
            WHERE CASE e.stage WHEN 'production' THEN in_production ELSE wanted END = ANY (acting.scopes)
              AND (acting.project_id IS NULL OR e.project_id = acting.project_id);
    ELSE
        RETURN QUERY
            SELECT e.id
            FROM ops.project_members m
            JOIN ops.roles r ON r.name = m.role
            JOIN ops.environments e ON e.project_id = m.project_id
            WHERE m.user_id = acting.user_id
              AND (acting.project_id IS NULL OR m.project_id = acting.project_id)
              AND CASE e.stage WHEN 'production' THEN in_production ELSE wanted END = ANY (acting.scopes)
              AND (CASE e.stage WHEN 'production' THEN in_production ELSE wanted END = ANY (r.permissions)
                   OR EXISTS (SELECT FROM ops.env_permissions g
                              WHERE g.user_id = acting.user_id AND g.environment_id = e.id
                                AND g.permission IN (wanted, in_production)));
    END IF;
END $$;

-- Whether a new key would reach no further than what makes it.
CREATE FUNCTION ops.within_my_key(scopes text[], project uuid, expires_at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT ops.claim('key') IS NULL OR EXISTS (
        SELECT FROM ops.api_keys k
        WHERE k.id = ops.claim('key')::uuid
          AND within_my_key.scopes <@ k.scopes
          AND (k.project_id IS NULL OR k.project_id = project)
          AND (k.expires_at IS NULL OR within_my_key.expires_at <= k.expires_at));
END;

-- The id of a login, for whoever may make somebody a member.
CREATE FUNCTION ops.find_user(wanted text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT u.id FROM ops.users u
    WHERE u.login = wanted AND (ops.is_platform() OR ops.is_operator()
                                OR EXISTS (SELECT ops.my_projects('administer')));
END;

-- Ends a user's sessions: their own, or as an operator.
CREATE FUNCTION ops.end_sessions(whose uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    DELETE FROM ops.sessions s
    WHERE s.user_id = whose AND (ops.is_platform() OR ops.is_operator() OR whose = ops.myself());
END;

-- What a worker may touch: the runs it holds and what they are about; the
-- tenants on its host, held or not.
CREATE FUNCTION ops.my_runs() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 10 AS $$
BEGIN
    RETURN QUERY SELECT l.run_id FROM ops.leases l WHERE l.worker_id = ops.my_worker();
END $$;

CREATE FUNCTION ops.held_tenants() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 10 AS $$
BEGIN
    RETURN QUERY
        SELECT r.tenant_id FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id
        WHERE l.worker_id = ops.my_worker() AND r.tenant_id IS NOT NULL;
END $$;

CREATE FUNCTION ops.held_builds() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 10 AS $$
BEGIN
    RETURN QUERY
        SELECT r.build_id FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id
        WHERE l.worker_id = ops.my_worker() AND r.build_id IS NOT NULL;
END $$;

CREATE FUNCTION ops.my_tenants() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 100 AS $$
BEGIN
    RETURN QUERY
        SELECT ops.held_tenants()
        UNION
        SELECT d.tenant_id
        FROM ops.clusters c JOIN ops.tenant_databases d ON d.cluster_id = c.id
        WHERE c.worker_id = ops.my_worker() AND c.state <> 'dropped';
END $$;

-- Those of its host, and those of the tenants it holds wherever they are.
CREATE FUNCTION ops.my_clusters() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 100 AS $$
BEGIN
    RETURN QUERY
        SELECT c.id FROM ops.clusters c WHERE c.worker_id = ops.my_worker()
        UNION
        SELECT d.cluster_id FROM ops.tenant_databases d WHERE d.tenant_id IN (SELECT ops.held_tenants());
END $$;

CREATE FUNCTION ops.my_builds() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 100 AS $$
BEGIN
    RETURN QUERY
        SELECT ops.held_builds()
        UNION
        SELECT e.build_id
        FROM ops.tenants t JOIN ops.environments e ON e.id = t.environment_id
        WHERE t.id IN (SELECT ops.my_tenants());
END $$;

-- Keeps others from changing a tenant until the transaction ends. Whoever may
-- test it may hold it still without being allowed to change it.
CREATE FUNCTION ops.lock_tenant(tenant uuid) RETURNS text
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT t.state FROM ops.tenants t
    WHERE t.id = tenant
      AND (ops.is_platform() OR t.environment_id IN (SELECT ops.my_environments('test'))
           OR t.id IN (SELECT ops.held_tenants()))
    FOR UPDATE;
END;

-- A project that has an owner keeps one, whoever acts.
CREATE FUNCTION ops.keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    -- Two owners who leave at once come one after the other.
    PERFORM FROM ops.projects WHERE id = OLD.project_id FOR NO KEY UPDATE;
    IF NOT EXISTS (SELECT FROM ops.project_members WHERE project_id = OLD.project_id AND role = 'owner') THEN
        RAISE EXCEPTION 'a project keeps an owner'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'project_members_last_owner',
                  SCHEMA = 'ops', TABLE = 'project_members';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER keep_an_owner AFTER DELETE OR UPDATE OF role ON ops.project_members
    FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION ops.keep_an_owner();

REVOKE ALL ON ops.acting FROM PUBLIC;
REVOKE ALL ON FUNCTION ops.myself(), ops.is_operator(), ops.my_projects(text), ops.my_environments(text),
    ops.within_my_key(text[], uuid, timestamptz), ops.find_user(text), ops.end_sessions(uuid), ops.my_runs(),
    ops.held_tenants(), ops.held_builds(), ops.my_tenants(), ops.my_clusters(), ops.my_builds(),
    ops.lock_tenant(uuid), ops.keep_an_owner() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.myself(), ops.is_operator(), ops.my_projects(text), ops.my_environments(text),
    ops.within_my_key(text[], uuid, timestamptz), ops.find_user(text), ops.end_sessions(uuid)
    TO heddle_control, heddle_user;
GRANT EXECUTE ON FUNCTION ops.my_runs(), ops.held_tenants(), ops.held_builds(), ops.my_tenants(),
    ops.my_clusters(), ops.my_builds() TO heddle_control, heddle_worker;
GRANT EXECUTE ON FUNCTION ops.lock_tenant(uuid) TO heddle_control, heddle_user, heddle_worker;

-- Called at the end of each migration that makes a table: nothing is left open.
-- The owner's functions and control's own acts see every row; what a user and
-- a worker see is the table's own policies.
CREATE FUNCTION ops.secure_tables() RETURNS void
    LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS name, c.oid FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', found.name);
        EXECUTE format('CREATE POLICY owner ON %s TO heddle_owner USING (true) WITH CHECK (true)', found.name);
        EXECUTE format('CREATE POLICY control ON %s TO heddle_control USING (true) WITH CHECK (true)', found.name);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION ops.secure_tables() FROM PUBLIC;

SELECT ops.secure_tables();

-- Of no project, and no secret: everybody reads them.
GRANT SELECT ON ops.roles, ops.schema_migrations TO heddle_control, heddle_user, heddle_worker;
CREATE POLICY everybody ON ops.roles FOR SELECT TO heddle_user, heddle_worker USING (true);
CREATE POLICY everybody ON ops.schema_migrations FOR SELECT TO heddle_user, heddle_worker USING (true);

-- Projects and what belongs to one.

GRANT SELECT, INSERT ON ops.projects TO heddle_user;
-- An operator is asked for apart: a project that was made just now is in no
-- set that the same statement computes.
CREATE POLICY seen ON ops.projects FOR SELECT TO heddle_user
    USING ((SELECT ops.is_operator()) OR id IN (SELECT ops.my_projects()));
CREATE POLICY made ON ops.projects FOR INSERT TO heddle_user
    WITH CHECK ((SELECT ops.is_operator()));
GRANT SELECT ON ops.projects TO heddle_worker;
CREATE POLICY worked ON ops.projects FOR SELECT TO heddle_worker
    USING (EXISTS (SELECT FROM ops.builds b WHERE b.project_id = projects.id));

GRANT SELECT, INSERT, UPDATE (role, version), DELETE ON ops.project_members TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.project_members FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
-- Only an owner makes and unmakes owners.
CREATE POLICY made ON ops.project_members FOR INSERT TO heddle_user
    WITH CHECK (project_id IN (SELECT ops.my_projects('administer'))
                AND (role <> 'owner' OR project_id IN (SELECT ops.my_projects('own'))));
CREATE POLICY changed ON ops.project_members FOR UPDATE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer'))
           AND (role <> 'owner' OR project_id IN (SELECT ops.my_projects('own'))));
CREATE POLICY removed ON ops.project_members FOR DELETE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer'))
           AND (role <> 'owner' OR project_id IN (SELECT ops.my_projects('own'))));

GRANT SELECT, INSERT, DELETE ON ops.env_permissions TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.env_permissions FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.environments e WHERE e.id = environment_id));
CREATE POLICY made ON ops.env_permissions FOR INSERT TO heddle_user
    WITH CHECK (environment_id IN (SELECT ops.my_environments('administer')));
CREATE POLICY removed ON ops.env_permissions FOR DELETE TO heddle_user
    USING (environment_id IN (SELECT ops.my_environments('administer')));

GRANT SELECT, INSERT ON ops.builds TO heddle_user;
CREATE POLICY seen ON ops.builds FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY made ON ops.builds FOR INSERT TO heddle_user
    WITH CHECK (project_id IN (SELECT ops.my_projects('develop')));
-- A retried build is building again.
GRANT UPDATE (state, odoo_version) ON ops.builds TO heddle_user, heddle_worker;
CREATE POLICY changed ON ops.builds FOR UPDATE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('develop')));
GRANT SELECT ON ops.builds TO heddle_worker;
CREATE POLICY worked ON ops.builds FOR SELECT TO heddle_worker
    USING (id IN (SELECT ops.my_builds()));
CREATE POLICY reported ON ops.builds FOR UPDATE TO heddle_worker
    USING (id IN (SELECT ops.held_builds()));

GRANT SELECT, INSERT, UPDATE (build_id) ON ops.environments TO heddle_user;
CREATE POLICY seen ON ops.environments FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY made ON ops.environments FOR INSERT TO heddle_user
    WITH CHECK (CASE stage WHEN 'production' THEN project_id IN (SELECT ops.my_projects('operate'))
                           ELSE project_id IN (SELECT ops.my_projects('develop')) END);
CREATE POLICY changed ON ops.environments FOR UPDATE TO heddle_user
    USING (id IN (SELECT ops.my_environments('develop')));
GRANT SELECT ON ops.environments TO heddle_worker;
CREATE POLICY worked ON ops.environments FOR SELECT TO heddle_worker
    USING (EXISTS (SELECT FROM ops.tenants t WHERE t.environment_id = environments.id));

-- Tenants, and what belongs to one: whoever sees the tenant sees it.

GRANT SELECT, INSERT ON ops.tenants TO heddle_user;
GRANT UPDATE (state, tenant_database_id, tier, max_users, max_storage_bytes, max_ai_operations_per_day,
              subscription_ends_at, version, archived_at) ON ops.tenants TO heddle_user;
CREATE POLICY seen ON ops.tenants FOR SELECT TO heddle_user
    USING (environment_id IN (SELECT ops.my_environments('read')));
CREATE POLICY made ON ops.tenants FOR INSERT TO heddle_user
    WITH CHECK (environment_id IN (SELECT ops.my_environments('develop')));
CREATE POLICY changed ON ops.tenants FOR UPDATE TO heddle_user
    USING (environment_id IN (SELECT ops.my_environments('develop')));
GRANT SELECT, UPDATE (state, tenant_database_id, version, archived_at) ON ops.tenants TO heddle_worker;
CREATE POLICY worked ON ops.tenants FOR SELECT TO heddle_worker
    USING (id IN (SELECT ops.my_tenants()));
CREATE POLICY reported ON ops.tenants FOR UPDATE TO heddle_worker
    USING (id IN (SELECT ops.held_tenants()));

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['lineages', 'tenant_databases', 'tenant_observations', 'base_backups',
                                'snapshots', 'restores']
    LOOP
        EXECUTE format('GRANT SELECT ON ops.%I TO heddle_user, heddle_worker', name);
        EXECUTE format('CREATE POLICY seen ON ops.%I FOR SELECT TO heddle_user
                        USING (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id))', name);
        EXECUTE format('CREATE POLICY worked ON ops.%I FOR SELECT TO heddle_worker
                        USING (tenant_id IN (SELECT ops.my_tenants()))', name);
    END LOOP;
    -- Facts about a tenant come from the worker that holds a run of it.
    FOREACH name IN ARRAY ARRAY['lineages', 'tenant_databases', 'base_backups']
    LOOP
        EXECUTE format('GRANT INSERT ON ops.%I TO heddle_worker', name);
        EXECUTE format('CREATE POLICY reported ON ops.%I FOR INSERT TO heddle_worker
                        WITH CHECK (tenant_id IN (SELECT ops.held_tenants()))', name);
    END LOOP;
    -- What may be asked of a tenant that is not production with `test`.
    FOREACH name IN ARRAY ARRAY['snapshots', 'restores']
    LOOP
        EXECUTE format('GRANT INSERT ON ops.%I TO heddle_user', name);
        EXECUTE format('CREATE POLICY made ON ops.%I FOR INSERT TO heddle_user
                        WITH CHECK (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id
                            AND t.environment_id IN (SELECT ops.my_environments(''test''))))', name);
        EXECUTE format('CREATE POLICY changed ON ops.%I FOR UPDATE TO heddle_user
                        USING (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id
                            AND t.environment_id IN (SELECT ops.my_environments(''test''))))', name);
        EXECUTE format('CREATE POLICY reported ON ops.%I FOR UPDATE TO heddle_worker
                        USING (tenant_id IN (SELECT ops.held_tenants()))', name);
    END LOOP;
END $$;

GRANT UPDATE (activated_at) ON ops.lineages TO heddle_worker;
CREATE POLICY activated ON ops.lineages FOR UPDATE TO heddle_worker
    USING (tenant_id IN (SELECT ops.held_tenants()));
GRANT UPDATE (state, lineage_id, lsn, wal_file, backup_id, size, missing_files, taken_at, expires_at)
    ON ops.snapshots TO heddle_user, heddle_worker;
GRANT UPDATE (state, plan, shown, to_database_id, reason, ended_at) ON ops.restores TO heddle_user, heddle_worker;
-- Also of tenants it holds no run of: what its keeper sees on its host.
GRANT INSERT, UPDATE ON ops.tenant_observations TO heddle_worker;
CREATE POLICY observed ON ops.tenant_observations FOR INSERT TO heddle_worker
    WITH CHECK (tenant_id IN (SELECT ops.my_tenants()));
CREATE POLICY observed_again ON ops.tenant_observations FOR UPDATE TO heddle_worker
    USING (tenant_id IN (SELECT ops.my_tenants()));
-- Resuming a tenant forgets what was seen of it.
GRANT UPDATE (serving, http, gevent, cell_port, changed_at) ON ops.tenant_observations TO heddle_user;
CREATE POLICY reset ON ops.tenant_observations FOR UPDATE TO heddle_user
    USING (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id
        AND t.environment_id IN (SELECT ops.my_environments('develop'))));

-- Hosts belong to no project. Whether workers live matters to all whose
-- projects depend on them; of clusters, people see those of their tenants.

GRANT SELECT ON ops.workers, ops.clusters TO heddle_user;
CREATE POLICY seen ON ops.workers FOR SELECT TO heddle_user
    USING ((SELECT ops.is_operator()) OR EXISTS (SELECT ops.my_projects()));
CREATE POLICY seen ON ops.clusters FOR SELECT TO heddle_user
    USING ((SELECT ops.is_operator()) OR EXISTS (SELECT FROM ops.tenant_databases d WHERE d.cluster_id = clusters.id));
GRANT SELECT, UPDATE (seen_at, gone_at) ON ops.workers TO heddle_worker;
CREATE POLICY itself ON ops.workers FOR SELECT TO heddle_worker USING (id = (SELECT ops.my_worker()));
CREATE POLICY seen_again ON ops.workers FOR UPDATE TO heddle_worker USING (id = (SELECT ops.my_worker()));
GRANT SELECT, INSERT, UPDATE (state, fenced_at, dropped_at) ON ops.clusters TO heddle_worker;
-- A cluster that it reports just now is on its own host.
CREATE POLICY hosted ON ops.clusters FOR SELECT TO heddle_worker
    USING (worker_id = (SELECT ops.my_worker()) OR id IN (SELECT ops.my_clusters()));
CREATE POLICY created ON ops.clusters FOR INSERT TO heddle_worker
    WITH CHECK (worker_id = (SELECT ops.my_worker()));
CREATE POLICY reported ON ops.clusters FOR UPDATE TO heddle_worker
    USING (id IN (SELECT ops.my_clusters()));

-- Runs: seen by their project; held by their worker, which also sees what else
-- is asked of the tenant that it holds.

GRANT SELECT ON ops.runs, ops.run_events, ops.leases TO heddle_user, heddle_worker;
CREATE POLICY seen ON ops.runs FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY held ON ops.runs FOR SELECT TO heddle_worker
    USING (id IN (SELECT ops.my_runs()) OR tenant_id IN (SELECT ops.held_tenants()));
CREATE POLICY seen ON ops.run_events FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.runs r WHERE r.id = run_id));
CREATE POLICY held ON ops.run_events FOR SELECT TO heddle_worker
    USING (run_id IN (SELECT ops.my_runs()));
CREATE POLICY seen ON ops.leases FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.runs r WHERE r.id = run_id));
CREATE POLICY held ON ops.leases FOR SELECT TO heddle_worker
    USING (worker_id = (SELECT ops.my_worker()));

-- People see themselves and those they share a project with; operators make
-- and disable them. Hashes are read by control alone.

GRANT SELECT (id, login, operator, disabled_at, version, created_at) ON ops.users TO heddle_user;
CREATE POLICY seen ON ops.users FOR SELECT TO heddle_user
    USING (id = (SELECT ops.myself()) OR (SELECT ops.is_operator())
           OR EXISTS (SELECT FROM ops.project_members m WHERE m.user_id = users.id));
GRANT INSERT (id, login, operator), UPDATE (operator, disabled_at, version, one_time_hash, one_time_expires_at)
    ON ops.users TO heddle_user;
CREATE POLICY made ON ops.users FOR INSERT TO heddle_user WITH CHECK ((SELECT ops.is_operator()));
CREATE POLICY changed ON ops.users FOR UPDATE TO heddle_user USING ((SELECT ops.is_operator()));
GRANT UPDATE (operator, disabled_at, version) ON ops.users TO heddle_control;

GRANT SELECT (id, name, prefix, user_id, project_id, scopes, created_at, expires_at, last_used_at, revoked_at)
    ON ops.api_keys TO heddle_user;
GRANT INSERT (id, name, prefix, secret_hash, user_id, project_id, scopes, expires_at), UPDATE (revoked_at)
    ON ops.api_keys TO heddle_user;
CREATE POLICY seen ON ops.api_keys FOR SELECT TO heddle_user
    USING (user_id = (SELECT ops.myself()) OR (SELECT ops.is_operator())
           OR project_id IN (SELECT ops.my_projects('administer')));
-- For oneself, or by an operator for the installation; never wider than its maker.
CREATE POLICY made ON ops.api_keys FOR INSERT TO heddle_user
    WITH CHECK (CASE WHEN user_id IS NULL THEN (SELECT ops.is_operator())
                     ELSE user_id = (SELECT ops.myself())
                          AND (project_id IS NULL OR project_id IN (SELECT ops.my_projects())) END
                AND ops.within_my_key(scopes, project_id, expires_at));
CREATE POLICY revoked ON ops.api_keys FOR UPDATE TO heddle_user
    USING (user_id = (SELECT ops.myself()) OR (SELECT ops.is_operator())
           OR project_id IN (SELECT ops.my_projects('administer')));

-- Sessions and refused sign-ins are control's alone: no policy, no grant.

GRANT SELECT ON ops.tenant_details, ops.run_details, ops.build_details, ops.snapshot_details, ops.restore_details
    TO heddle_user, heddle_worker;

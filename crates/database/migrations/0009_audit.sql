-- What was changed, by whom, from where, through what, and what led to it.
-- Rows are written by triggers in the transaction that makes the change, and
-- sealed afterwards, by control, into a chain for each project.
--
-- A migration that makes a table calls ops.audit_tables() at its end, and says
-- in comments what is special about it:
--   COMMENT ON TABLE … IS 'not audited: …'    why its rows are no state, or are told by others
--   COMMENT ON TABLE … IS 'audited by statement…'  changed by thousands: one row for each
--       statement, project and change, and only of the columns that are marked as audited
--   COMMENT ON COLUMN … IS 'audited'          its values are shown
--   COMMENT ON COLUMN … IS 'audited once'     the same; it never changes
--   COMMENT ON COLUMN … IS 'not audited: …'   its change is none
-- Of all other columns, values are shown where they can hold no secret: ids,
-- numbers, times, booleans, and words of a CHECK named *_written. Of the rest
-- it is said that they have changed.

-- Who acts, as runs name their requester; `role:<name>` reached the database past control.
CREATE FUNCTION ops.audit_actor() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN session_user <> 'heddle_control' THEN 'role:' || session_user
        WHEN ops.claim('worker') IS NOT NULL THEN 'worker:' || ops.claim('worker')
        WHEN ops.claim('key') IS NOT NULL THEN 'key:' || ops.claim('key')
        WHEN ops.claim('user') IS NOT NULL THEN 'user:' || ops.claim('user')
        WHEN ops.claim('schedule') IS NOT NULL THEN 'schedule:' || ops.claim('schedule')
        ELSE 'platform'
    END;

CREATE FUNCTION ops.audit_via() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN session_user <> 'heddle_control' THEN 'sql'
        WHEN ops.claim('via') IS NOT NULL THEN left(ops.claim('via'), 100)
        WHEN ops.claim('worker') IS NOT NULL THEN 'worker'
        WHEN ops.claim('key') IS NOT NULL THEN 'api-key'
        WHEN ops.claim('user') IS NOT NULL THEN 'session'
        WHEN ops.claim('schedule') IS NOT NULL THEN 'schedule'
        ELSE 'platform'
    END;

-- Nothing is ever taken out of it. It is one table: what is old can be taken
-- to an archive by its blocks' ranges of ids, which partitions by month would
-- cut through.
CREATE TABLE ops.audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    -- Whose it is; null for what belongs to no project. References nothing:
    -- neither may a change wait for a look at it, nor may it end with its project.
    project_id uuid,
    actor      text NOT NULL DEFAULT ops.audit_actor(),
    via        text NOT NULL DEFAULT ops.audit_via(),
    address    text DEFAULT left(ops.claim('address'), 100),
    request    text DEFAULT left(ops.claim('request'), 100),
    -- The run that led to it, if one did.
    run_id     uuid DEFAULT ops.claim('run')::uuid,
    -- `<table>.created`, `.changed` or `.removed`; `refused`.
    act        text NOT NULL,
    -- What was changed, first, and what that is about; of runs, all that one statement changed.
    subjects   uuid[] NOT NULL,
    -- A value, or before and after of what has changed.
    detail     jsonb NOT NULL
);

CREATE INDEX audit_project ON ops.audit (project_id, id);
CREATE INDEX audit_run ON ops.audit (run_id, id) WHERE run_id IS NOT NULL;
CREATE INDEX audit_at ON ops.audit USING brin (at) WITH (pages_per_range = 16);
-- Runs are looked up by their times: thousands of ids a second are no work for an index.
CREATE INDEX audit_subjects ON ops.audit USING gin (subjects) WHERE act NOT LIKE 'runs.%';
CREATE INDEX audit_refused ON ops.audit (at) WHERE act = 'refused';

-- Rows of one chain, sealed together: each row's hash is made of the row and
-- the hash before it; the last one's is signed.
CREATE TABLE ops.audit_blocks (
    -- The project's id; all zeros for what belongs to none.
    chain     uuid NOT NULL,
    number    bigint NOT NULL CHECK (number > 0),
    -- All the chain's rows with greater ids than the one, up to the other.
    after     bigint NOT NULL CHECK (after >= 0),
    through   bigint NOT NULL,
    ids       bigint[] NOT NULL CHECK (cardinality(ids) > 0),
    -- 32 bytes for each of the rows.
    hashes    bytea NOT NULL,
    -- How many rows the chain has so far.
    rows      bigint NOT NULL,
    previous  bytea NOT NULL CHECK (length(previous) = 32),
    hash      bytea NOT NULL CHECK (length(hash) = 32),
    sealed_at timestamptz NOT NULL,
    -- Ed25519: the public key, and its signature of the head.
    key       bytea NOT NULL CHECK (length(key) = 32),
    signature bytea NOT NULL CHECK (length(signature) = 64),
    PRIMARY KEY (chain, number),
    CONSTRAINT audit_blocks_range CHECK (through > after),
    CONSTRAINT audit_blocks_hash_each CHECK (length(hashes) = 32 * cardinality(ids))
);

-- How far the sealing is. A row's id is drawn in a transaction that has its
-- number by then; so what is there of the ids up to a mark is final once
-- everything that had a number when it was made has ended.
CREATE TABLE ops.audit_horizon (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- Every row up to this id is in a block.
    sealed    bigint NOT NULL DEFAULT 0,
    marked    bigint NOT NULL DEFAULT 0,
    -- The transaction that made the mark.
    marked_in xid8 NOT NULL DEFAULT '0'
);
INSERT INTO ops.audit_horizon DEFAULT VALUES;

-- A mark stays until all up to it is sealed, so that no long transaction starves it.
CREATE FUNCTION ops.mark_audit() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    newest bigint;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'the mark must be the first that its transaction writes';
    END IF;
    -- Looked at before the transaction has its number.
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO newest FROM ops.audit_id_seq;
    UPDATE ops.audit_horizon
    SET marked = newest, marked_in = pg_current_xact_id()
    WHERE newest > sealed
      -- A mark of the future is of another cluster, whose dump this is.
      AND (marked <= sealed OR marked_in > pg_current_xact_id());
END $$;

CREATE FUNCTION ops.only_appended() RETURNS trigger
    LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'ops.% is only ever appended to', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.audit
    FOR EACH STATEMENT EXECUTE FUNCTION ops.only_appended();
ALTER TABLE ops.audit ENABLE ALWAYS TRIGGER only_appended;
CREATE TRIGGER only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.audit_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION ops.only_appended();
ALTER TABLE ops.audit_blocks ENABLE ALWAYS TRIGGER only_appended;

-- Not as ops.secure_tables() would: not even the owner's functions change a row.
ALTER TABLE ops.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON ops.audit FOR SELECT TO heddle_owner USING (true);
CREATE POLICY owner_appends ON ops.audit FOR INSERT TO heddle_owner WITH CHECK (true);
CREATE POLICY control ON ops.audit FOR SELECT TO heddle_control USING (true);
ALTER TABLE ops.audit_blocks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON ops.audit_blocks FOR SELECT TO heddle_owner USING (true);
CREATE POLICY control ON ops.audit_blocks FOR SELECT TO heddle_control USING (true);
CREATE POLICY control_appends ON ops.audit_blocks FOR INSERT TO heddle_control WITH CHECK (true);
SELECT ops.secure_tables();

-- Whoever administers a project reads its chain; operators read all, and what
-- belongs to no project. Workers read nothing.
GRANT SELECT ON ops.audit TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.audit FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer'))
           OR (project_id IS NULL AND (SELECT ops.is_operator())));
GRANT SELECT ON ops.audit_blocks TO heddle_control, heddle_user;
GRANT INSERT ON ops.audit_blocks TO heddle_control;
CREATE POLICY seen ON ops.audit_blocks FOR SELECT TO heddle_user
    USING (chain IN (SELECT ops.my_projects('administer'))
           OR (chain = '00000000-0000-0000-0000-000000000000' AND (SELECT ops.is_operator())));
GRANT SELECT, UPDATE (sealed) ON ops.audit_horizon TO heddle_control;
-- Says nothing about anybody.
GRANT SELECT ON ops.audit_horizon TO heddle_user;
CREATE POLICY everybody ON ops.audit_horizon FOR SELECT TO heddle_user USING (true);
REVOKE ALL ON FUNCTION ops.mark_audit() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.mark_audit() TO heddle_control;

-- Somebody was refused what is not theirs. In the chain of the project that it
-- was about, if there is such a thing; nothing is written down of what does not
-- exist. Called in a transaction of its own; false if it was not recorded.
CREATE FUNCTION ops.audit_refusal(attempt text, target text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    -- In a minute, of one actor and of all.
    of_one constant integer := 30;
    of_all constant integer := 600;
    wanted uuid := CASE WHEN target ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN target::uuid END;
    found  record;
    so_far record;
BEGIN
    -- Before an id is drawn: see ops.audit_horizon.
    PERFORM pg_current_xact_id();
    SELECT f.project_id, f.id INTO found
    FROM (
        SELECT p.id AS project_id, p.id FROM ops.projects p WHERE p.id = wanted OR p.name = target
        UNION ALL
        SELECT e.project_id, e.id FROM ops.environments e WHERE e.id = wanted
        UNION ALL
        SELECT e.project_id, t.id FROM ops.tenants t JOIN ops.environments e ON e.id = t.environment_id
        WHERE t.id = wanted OR t.name = target
        UNION ALL
        SELECT b.project_id, b.id FROM ops.builds b WHERE b.id = wanted
        UNION ALL
        SELECT r.project_id, r.id FROM ops.runs r WHERE r.id = wanted
        UNION ALL
        SELECT e.project_id, r.id
        FROM ops.restores r JOIN ops.tenants t ON t.id = r.tenant_id JOIN ops.environments e ON e.id = t.environment_id
        WHERE r.id = wanted
    ) f
    LIMIT 1;
    IF found.id IS NULL AND target IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Said where it was refused, and, should that have been undone with what was tried, at the request's end.
    IF EXISTS (SELECT FROM ops.audit a WHERE a.act = 'refused' AND a.at > now() - interval '1 minute'
                                         AND a.request = ops.claim('request')) THEN
        RETURN true;
    END IF;
    SELECT count(*) FILTER (WHERE a.actor = ops.audit_actor()) AS of_one, count(*) AS of_all INTO so_far
    FROM ops.audit a WHERE a.act = 'refused' AND a.at > now() - interval '1 minute';
    IF so_far.of_one > of_one OR so_far.of_all > of_all THEN
        RETURN false;
    END IF;
    INSERT INTO ops.audit (project_id, act, subjects, detail)
    VALUES (found.project_id, 'refused', array_remove(ARRAY[found.id], NULL),
            jsonb_strip_nulls(jsonb_build_object(
                'attempt', left(attempt, 200),
                'target', left(target, 200),
                -- The last one that is written down tells of those that are not.
                'bound', CASE WHEN so_far.of_one = of_one OR so_far.of_all = of_all
                              THEN 'more of them are not recorded in this minute' END)));
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION ops.audit_refusal(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.audit_refusal(text, text) TO heddle_control, heddle_user, heddle_worker;

-- Writes, for each table, the function that its triggers call, and makes the
-- triggers that are missing. Written out for each, so that its plans are kept.
CREATE FUNCTION ops.audit_tables() RETURNS void
    LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    found    record;
    kept     record;
    branches text;
    changed  text;
    project  text;
    subjects text;
BEGIN
    FOR found IN
        SELECT c.oid, c.relname::text AS name,
               COALESCE(obj_description(c.oid, 'pg_class'), '') LIKE 'audited by statement%' AS by_statement
        FROM pg_class c
        WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND COALESCE(obj_description(c.oid, 'pg_class'), '') NOT LIKE 'not audited:%'
        ORDER BY c.relname
    LOOP
        -- `@` stands for the row.
        WITH columns AS (
            SELECT a.attnum, a.attname::text AS name, a.atttypid::regtype::text AS type,
                   COALESCE(col_description(a.attrelid, a.attnum), '') AS comment,
                   a.attgenerated <> '' AS generated, a.attnotnull AS always,
                   COALESCE(a.attnum = ANY (k.conkey), false) AS in_key,
                   EXISTS (SELECT FROM pg_constraint w
                           WHERE w.conrelid = a.attrelid AND w.contype = 'c' AND w.conname LIKE '%\_written'
                             AND a.attnum = ANY (w.conkey)) AS words
            FROM pg_attribute a
            LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
            WHERE a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped
        ), judged AS (
            SELECT c.attnum, c.name, c.type, c.in_key, c.always,
                   CASE
                       WHEN c.generated OR c.comment LIKE 'not audited%' THEN 'ignored'
                       WHEN c.comment LIKE 'audited once%' THEN 'fixed'
                       WHEN c.comment LIKE 'audited%' THEN 'shown'
                       WHEN found.by_statement THEN 'ignored'
                       -- In the audit's own columns already.
                       WHEN c.name = 'created_at' OR (c.type = 'uuid' AND (c.in_key OR c.name = 'project_id'))
                           THEN 'ignored'
                       WHEN c.words OR c.type IN ('uuid', 'boolean', 'smallint', 'integer', 'bigint', 'numeric',
                                                  'double precision', 'timestamp with time zone', 'date', 'interval',
                                                  'pg_lsn') THEN 'shown'
                       ELSE 'named'
                   END AS how,
                   CASE WHEN c.type IN ('numeric', 'double precision') THEN format('@.%I::text', c.name)
                        ELSE format('@.%I', c.name) END AS value,
                   -- What has no equality of its own is compared as text.
                   CASE WHEN c.type = 'json' THEN format('@.%I::text', c.name) ELSE format('@.%I', c.name) END AS same
            FROM columns c
        )
        SELECT array_agg(j.name ORDER BY j.attnum) AS names,
               bool_or(j.name = 'project_id' AND j.always) AS in_project,
               string_agg(format('n.%1$I = o.%1$I', j.name), ' AND ') FILTER (WHERE j.in_key) AS joined,
               string_agg(format('%L, %s', j.name, j.value), ', ' ORDER BY j.attnum)
                   FILTER (WHERE j.how IN ('shown', 'fixed')) AS whole,
               string_agg(
                   CASE j.how
                       WHEN 'shown' THEN
                           format('%L, CASE WHEN %s IS DISTINCT FROM %s THEN jsonb_build_array(%s, %s) END', j.name,
                                  replace(j.same, '@', 'o'), replace(j.same, '@', 'n'),
                                  replace(j.value, '@', 'o'), replace(j.value, '@', 'n'))
                       ELSE format('%L, CASE WHEN %s IS DISTINCT FROM %s THEN ''changed'' END', j.name,
                                   replace(j.same, '@', 'o'), replace(j.same, '@', 'n'))
                   END, ', ' ORDER BY j.attnum) FILTER (WHERE j.how IN ('shown', 'named')) AS changes,
               string_agg(j.same, ', ' ORDER BY j.attnum) FILTER (WHERE j.how IN ('shown', 'named')) AS compared,
               string_agg(j.same, ', ' ORDER BY j.attnum) FILTER (WHERE j.how IN ('shown', 'fixed')) AS grouped,
               string_agg(format('@.%I', j.name), ', ' ORDER BY NOT j.in_key, j.attnum)
                   FILTER (WHERE j.type = 'uuid' AND j.name <> 'project_id' AND j.how <> 'ignored' OR
                                 j.type = 'uuid' AND j.in_key) AS ids
        INTO kept FROM judged j;
        -- By what a row says of its project, or of something that is in one.
        SELECT string_agg(p.way, ', ' ORDER BY p.place) INTO project
        FROM (VALUES
            (1, 'project_id', '@.project_id'),
            (2, 'environment_id', '(SELECT e.project_id FROM ops.environments e WHERE e.id = @.environment_id)'),
            (3, 'tenant_id', '(SELECT e.project_id FROM ops.tenants t
                               JOIN ops.environments e ON e.id = t.environment_id WHERE t.id = @.tenant_id)'),
            (4, 'run_id', '(SELECT r.project_id FROM ops.runs r WHERE r.id = @.run_id)'),
            (5, 'approval_id', '(SELECT a.project_id FROM ops.approvals a WHERE a.id = @.approval_id)'),
            (6, 'secret_id', '(SELECT s.project_id FROM ops.secrets s WHERE s.id = @.secret_id)')
        ) AS p (place, name, way)
        WHERE p.name = ANY (kept.names);
        project := CASE WHEN found.name = 'projects' THEN '@.id'
                        WHEN kept.in_project THEN '@.project_id'
                        WHEN project IS NULL THEN 'NULL::uuid'
                        ELSE format('COALESCE(%s)', project) END;
        subjects := CASE WHEN kept.ids IS NULL THEN '''{}''::uuid[]'
                         WHEN found.by_statement THEN 'array_agg(@.id)'
                         ELSE format('array_remove(ARRAY[%s], NULL)', kept.ids) END;
        branches := format(
            $body$
            IF TG_OP = 'INSERT' THEN
                INSERT INTO ops.audit (project_id, act, subjects, detail)
                SELECT %1$s, %5$L, %2$s, jsonb_strip_nulls(jsonb_build_object(%3$s)) FROM fresh n %4$s;
            ELSIF TG_OP = 'DELETE' THEN
                INSERT INTO ops.audit (project_id, act, subjects, detail)
                SELECT %1$s, %6$L, %2$s, jsonb_strip_nulls(jsonb_build_object(%3$s)) FROM stale n %4$s;
            $body$,
            replace(project, '@', 'n'), replace(subjects, '@', 'n'), replace(kept.whole, '@', 'n'),
            CASE WHEN found.by_statement
                 THEN format('GROUP BY %s, %s', replace(project, '@', 'n'), replace(kept.grouped, '@', 'n')) END,
            found.name || '.created', found.name || '.removed');
        IF kept.compared IS NOT NULL THEN
            changed := format(
                $body$
                INSERT INTO ops.audit (project_id, act, subjects, detail)
                SELECT %1$s, %3$L, %2$s, jsonb_strip_nulls(jsonb_build_object(%4$s))
                FROM fresh n JOIN stale o ON %5$s
                WHERE ROW(%6$s) IS DISTINCT FROM ROW(%7$s) %8$s
                $body$,
                replace(project, '@', 'n'), replace(subjects, '@', 'n'), found.name || '.changed', kept.changes,
                kept.joined, replace(kept.compared, '@', 'o'), replace(kept.compared, '@', 'n'),
                CASE WHEN found.by_statement
                     THEN format('GROUP BY %s, %s, %s', replace(project, '@', 'n'),
                                 replace(kept.compared, '@', 'o'), replace(kept.compared, '@', 'n')) END);
            -- A plan that was kept from a change of one row would look at each for each.
            branches := branches || format('ELSIF (SELECT count(*) FROM fresh) <= 50 THEN %s; ELSE EXECUTE %L;',
                                           changed, changed);
        END IF;
        EXECUTE format(
            $make$
            -- What changes rows may have its own ways of joining; before and after of many are joined by hashing.
            CREATE OR REPLACE FUNCTION ops.%I() RETURNS trigger
                LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET enable_hashjoin = on AS %L
            $make$,
            'audit_of_' || found.name, format('BEGIN %s END IF; RETURN NULL; END', branches));
        EXECUTE format('REVOKE ALL ON FUNCTION ops.%I() FROM PUBLIC', 'audit_of_' || found.name);
        IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = found.oid AND t.tgname = 'audit_created') THEN
            EXECUTE format('CREATE TRIGGER audit_created AFTER INSERT ON ops.%I REFERENCING NEW TABLE AS fresh
                            FOR EACH STATEMENT EXECUTE FUNCTION ops.%I()', found.name, 'audit_of_' || found.name);
            EXECUTE format('CREATE TRIGGER audit_removed AFTER DELETE ON ops.%I REFERENCING OLD TABLE AS stale
                            FOR EACH STATEMENT EXECUTE FUNCTION ops.%I()', found.name, 'audit_of_' || found.name);
        END IF;
        IF kept.compared IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = found.oid AND t.tgname = 'audit_changed') THEN
            EXECUTE format('CREATE TRIGGER audit_changed AFTER UPDATE ON ops.%I
                            REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
                            FOR EACH STATEMENT EXECUTE FUNCTION ops.%I()', found.name, 'audit_of_' || found.name);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION ops.audit_tables() FROM PUBLIC;

COMMENT ON TABLE ops.audit IS 'not audited: the audit itself';
COMMENT ON TABLE ops.audit_blocks IS 'not audited: the audit''s seals';
COMMENT ON TABLE ops.audit_horizon IS 'not audited: how far the audit is sealed';
COMMENT ON TABLE ops.schema_migrations IS 'not audited: a record of its own, written by migrations alone';
COMMENT ON TABLE ops.run_events IS 'not audited: append-only, and what runs say rather than state';
COMMENT ON TABLE ops.leases IS 'not audited: a run''s state says that it is held; heartbeats are no change';
COMMENT ON TABLE ops.tenant_observations IS 'not audited: what a worker sees, and sees again';
COMMENT ON TABLE ops.sign_in_failures IS 'not audited: strangers could flood it; a lock-out is recorded as a refusal';
COMMENT ON COLUMN ops.workers.seen_at IS 'not audited: every word of it';
COMMENT ON COLUMN ops.sessions.expires_at IS 'not audited: every request moves it';
COMMENT ON COLUMN ops.api_keys.last_used_at IS 'not audited: every request moves it';

DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY[
        'projects.name', 'environments.name', 'builds.odoo', 'builds.python', 'builds.addons', 'builds.modules',
        'builds.odoo_version', 'tenants.name', 'tenants.subdomain', 'tenants.database', 'snapshots.name',
        'snapshots.wal_file', 'workers.name', 'workers.version', 'users.login', 'project_members.role', 'roles.name',
        'api_keys.name', 'api_keys.prefix', 'lineages.database', 'tenant_databases.database']
    LOOP
        EXECUTE format('COMMENT ON COLUMN ops.%I.%I IS ''audited''', split_part(named, '.', 1), split_part(named, '.', 2));
    END LOOP;
    FOR named IN
        SELECT c.relname FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'ops'::regnamespace AND c.relname IN ('run_ready', 'run_dependencies')
    LOOP
        EXECUTE format('COMMENT ON TABLE ops.%I IS ''not audited: its rows come and go with what runs'''' states say''', named);
    END LOOP;
    -- What never changes of a run can be looked up in it.
    COMMENT ON TABLE ops.runs IS 'audited by statement: they are queued, claimed and finished by thousands';
    COMMENT ON COLUMN ops.runs.kind IS 'audited once';
    COMMENT ON COLUMN ops.runs.requester IS 'audited once';
    FOR named IN
        SELECT a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = 'ops.runs'::regclass AND NOT a.attisdropped
          AND a.attname IN ('state', 'cancel_requested', 'approval', 'priority')
    LOOP
        EXECUTE format('COMMENT ON COLUMN ops.runs.%I IS ''audited''', named);
    END LOOP;
END $$;

SELECT ops.audit_tables();

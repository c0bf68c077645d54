-- The queue. A run is changed by the functions below and by nothing else: they
-- take many runs at once, decide for the caller's claims, and keep the narrow
-- tables beside ops.runs in step with it.
--
--   waiting    for other runs (ops.run_dependencies) or an approval
--   queued     has a row in ops.run_ready, until it is claimed
--   running    has a row in ops.leases, under a fence that only grows
--
-- Refusals have codes of their own, which control tells clients apart by:
--   HD001 there is no such thing      HD004 the lease is another's by now
--   HD002 its state does not allow it HD005 the idempotency key was used before
--   HD003 not allowed                 HD006 the request is not valid

-- What holds for all runs of a kind. Administrators may change the numbers.
CREATE TABLE ops.run_kinds (
    kind         text PRIMARY KEY CONSTRAINT run_kinds_kind_written
                 CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore', 'expire',
                                 'probe')),
    -- What kind of worker it is for.
    worker       text NOT NULL CONSTRAINT run_kinds_worker_written
                 CHECK (worker IN ('build', 'deploy', 'backup', 'test')),
    -- What asks for one needs, in its environment.
    permission   text NOT NULL CHECK (permission IN ('test', 'develop', 'nobody')),
    priority     text NOT NULL CONSTRAINT run_kinds_priority_written CHECK (priority IN ('high', 'normal', 'low')),
    -- A run that takes longer is stopped, and has failed.
    deadline     interval NOT NULL CHECK (deadline > interval '0'),
    -- How often a failed one is tried, before it is dead; 1: it has failed at once.
    max_attempts integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
    -- Before the second attempt; twice that before each further one.
    back_off     interval NOT NULL DEFAULT interval '5 seconds' CHECK (back_off > interval '0'),
    -- Of these a tenant has one at a time.
    alone        boolean NOT NULL
);

INSERT INTO ops.run_kinds (kind, worker, permission, priority, deadline, max_attempts, alone) VALUES
    ('build',        'build',  'develop', 'normal', '2 hours',    1, false),
    ('provision',    'deploy', 'develop', 'normal', '1 hour',     1, true),
    ('backup',       'backup', 'test',    'low',    '24 hours',   1, true),
    ('snapshot',     'backup', 'test',    'normal', '2 hours',    1, false),
    ('plan_restore', 'deploy', 'test',    'normal', '1 hour',     1, false),
    ('restore',      'deploy', 'test',    'normal', '24 hours',   1, true),
    ('expire',       'backup', 'nobody',  'low',    '2 hours',    1, true),
    ('probe',        'test',   'test',    'normal', '10 minutes', 3, false);

-- How many runs may run at once: of a project, of a kind, or of both.
CREATE TABLE ops.queue_caps (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid REFERENCES ops.projects,
    kind       text REFERENCES ops.run_kinds,
    at_most    integer NOT NULL CHECK (at_most > 0),
    CONSTRAINT queue_caps_of_something CHECK (num_nonnulls(project_id, kind) > 0),
    CONSTRAINT queue_caps_once UNIQUE NULLS NOT DISTINCT (project_id, kind)
);
CREATE INDEX queue_caps_kind ON ops.queue_caps (kind);

-- A worker takes only what it is made for, and nothing more once it drains.
ALTER TABLE ops.workers
    -- Null: every kind.
    ADD kinds text[] CONSTRAINT workers_kinds_written
        CHECK (kinds <@ ARRAY['build', 'deploy', 'backup', 'test']),
    ADD labels text[] NOT NULL DEFAULT '{}',
    ADD draining_at timestamptz;

-- ops.runs: what a run is, and how it goes. No index is on what changes as a
-- run is claimed and ends well, so that those updates stay within their page.
DROP INDEX ops.runs_queue, ops.runs_state, ops.runs_tenant, ops.runs_one_live;
ALTER TABLE ops.runs
    DROP COLUMN background,
    DROP CONSTRAINT runs_idempotency,
    DROP CONSTRAINT runs_kind_written,
    DROP CONSTRAINT runs_state_written,
    DROP CONSTRAINT runs_others_have_tenant,
    DROP CONSTRAINT runs_queued_not_started,
    DROP CONSTRAINT runs_ended_since,
    DROP CONSTRAINT runs_failed_has_reason,
    -- Checked as it is queued; projects are never removed. Checking it for each
    -- row again would cost more than queuing it.
    DROP CONSTRAINT runs_project_id_fkey,
    -- As the project: checked as it is queued.
    ADD environment_id uuid,
    ADD sha text CHECK (sha ~ '^[0-9a-f]{7,64}$'),
    ADD ref text CHECK (length(ref) BETWEEN 1 AND 255),
    -- Said by whoever asked; kept, and shown.
    ADD metadata jsonb NOT NULL DEFAULT '{}',
    ADD priority text NOT NULL DEFAULT 'normal',
    -- Of development, which comes after everything else.
    ADD preview boolean NOT NULL DEFAULT false,
    -- `none`; `pending` keeps it waiting until it is decided.
    ADD approval text NOT NULL DEFAULT 'none',
    -- What a worker must have to be given it.
    ADD labels text[],
    ADD max_attempts integer NOT NULL DEFAULT 1 CHECK (max_attempts BETWEEN 1 AND 100),
    -- Seconds; null: its kind's.
    ADD deadline integer CHECK (deadline > 0),
    -- Not before then.
    ADD run_at timestamptz,
    -- Of these a project has one live run at a time.
    ADD unique_key text,
    -- Where its row of ops.run_ready is.
    ADD lane smallint,
    ADD turn bigint;

UPDATE ops.runs r SET
    environment_id = t.environment_id,
    preview = e.stage = 'development',
    priority = k.priority,
    unique_key = CASE WHEN k.alone THEN r.kind || ' ' || r.tenant_id END
FROM ops.run_kinds k, ops.tenants t JOIN ops.environments e ON e.id = t.environment_id
WHERE k.kind = r.kind AND t.id = r.tenant_id;

ALTER TABLE ops.runs
    -- Null while it goes as most do: the index on it is small.
    ADD filed text GENERATED ALWAYS AS
        (CASE WHEN state IN ('waiting', 'failed', 'cancelled', 'dead') THEN state END) STORED,
    ADD alone text GENERATED ALWAYS AS
        (CASE WHEN state IN ('waiting', 'queued', 'running') THEN unique_key END) STORED,
    ADD CONSTRAINT runs_kind_written
        CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore', 'expire', 'probe')),
    ADD CONSTRAINT runs_state_written
        CHECK (state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'dead')),
    ADD CONSTRAINT runs_priority_written CHECK (priority IN ('high', 'normal', 'low')),
    ADD CONSTRAINT runs_approval_written CHECK (approval IN ('none', 'pending', 'granted', 'refused')),
    ADD CONSTRAINT runs_others_have_tenant CHECK ((kind NOT IN ('build', 'probe')) = (tenant_id IS NOT NULL)),
    ADD CONSTRAINT runs_queued_not_started CHECK (state NOT IN ('waiting', 'queued') OR started_at IS NULL),
    ADD CONSTRAINT runs_queued_has_turn CHECK (state <> 'queued' OR (lane IS NOT NULL AND turn IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT runs_pending_waits CHECK (approval <> 'pending' OR state IN ('waiting', 'cancelled')),
    ADD CONSTRAINT runs_ended_since
        CHECK ((state IN ('succeeded', 'failed', 'cancelled', 'dead')) = (ended_at IS NOT NULL)),
    ADD CONSTRAINT runs_failed_has_reason CHECK (state NOT IN ('failed', 'dead') OR reason IS NOT NULL),
    SET (fillfactor = 50);

CREATE INDEX runs_project ON ops.runs (project_id, id);
CREATE INDEX runs_tenant ON ops.runs (tenant_id, id) WHERE tenant_id IS NOT NULL;
CREATE INDEX runs_filed ON ops.runs (filed, project_id, id) WHERE filed IS NOT NULL;
CREATE INDEX runs_kind ON ops.runs (project_id, kind, id) WHERE kind <> 'probe';
CREATE UNIQUE INDEX runs_idempotency ON ops.runs (requester, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX runs_alone ON ops.runs (project_id, alone) WHERE alone IS NOT NULL;

-- Runs that can be claimed, in the order they are: by lane, then by turn, then
-- by id. Lanes: 0 high, 1 normal, 2 low, 3 previews; 9 those that are tried
-- again later. A project's next run gets the turn after its last one, but none
-- that has passed: so projects take turns, whoever queued more.
CREATE TABLE ops.run_ready (
    lane       smallint NOT NULL CHECK (lane IN (0, 1, 2, 3, 9)),
    turn       bigint NOT NULL,
    run_id     uuid NOT NULL,
    project_id uuid NOT NULL,
    tenant_id  uuid,
    kind       text NOT NULL,
    labels     text[],
    deadline   integer,
    run_at     timestamptz,
    PRIMARY KEY (lane, turn, run_id),
    CONSTRAINT run_ready_later_has_time CHECK ((lane = 9) = (run_at IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX run_ready_project ON ops.run_ready (project_id, lane, turn);

-- The turn that each lane has come to. Sequences, since they are updated in
-- place: no open transaction keeps their past, and the rows of passed turns,
-- dead but not yet vacuumed, are never looked at again.
CREATE SEQUENCE ops.turn_high AS bigint;
CREATE SEQUENCE ops.turn_normal AS bigint;
CREATE SEQUENCE ops.turn_low AS bigint;
CREATE SEQUENCE ops.turn_preview AS bigint;

-- Leases refer to nothing: claiming and ending keep them in step with runs.
-- There are only as many as runs under way, so no index finds a worker's.
DROP INDEX ops.leases_worker;
ALTER TABLE ops.leases
    DROP CONSTRAINT leases_run_id_fkey,
    DROP CONSTRAINT leases_worker_id_fkey,
    DROP CONSTRAINT leases_fence_key,
    DROP CONSTRAINT leases_one_a_tenant,
    ADD project_id uuid,
    ADD kind text,
    ADD claimed_at timestamptz NOT NULL DEFAULT now(),
    -- When the worker said that it had begun.
    ADD begun_at timestamptz,
    -- When it last said anything of the run.
    ADD sign_at timestamptz NOT NULL DEFAULT now(),
    ADD deadline_at timestamptz,
    -- What the worker is told at its next heartbeat.
    ADD stop text CONSTRAINT leases_stop_written CHECK (stop IN ('cancel', 'deadline')),
    -- The number of the last event that was appended under it.
    ADD told bigint NOT NULL DEFAULT 0;
UPDATE ops.leases l SET project_id = r.project_id, kind = r.kind,
    stop = CASE WHEN r.cancel_requested THEN 'cancel' END
FROM ops.runs r WHERE r.id = l.run_id;
ALTER TABLE ops.leases ALTER project_id SET NOT NULL, ALTER kind SET NOT NULL;
-- Two runs never act on one tenant at once.
CREATE UNIQUE INDEX leases_one_a_tenant ON ops.leases (tenant_id) WHERE tenant_id IS NOT NULL;

-- A run waits for those it depends on.
CREATE TABLE ops.run_dependencies (
    run_id   uuid NOT NULL REFERENCES ops.runs,
    after_id uuid NOT NULL REFERENCES ops.runs,
    PRIMARY KEY (after_id, run_id),
    CONSTRAINT run_dependencies_other CHECK (run_id <> after_id)
);
CREATE INDEX run_dependencies_run ON ops.run_dependencies (run_id);

-- What runs said. Append-only, a partition for each month: old ones are
-- detached, then dropped.
ALTER TABLE ops.run_events RENAME TO run_events_before;
ALTER TABLE ops.run_events_before RENAME CONSTRAINT run_events_level_written TO run_events_before_level;
DROP INDEX ops.run_events_run;
CREATE SEQUENCE ops.run_event_ids AS bigint NO CYCLE;
CREATE TABLE ops.run_events (
    -- Grows along a run.
    id          bigint NOT NULL DEFAULT nextval('ops.run_event_ids'),
    run_id      uuid NOT NULL,
    project_id  uuid NOT NULL,
    -- By the database's clock; `at` is the worker's.
    recorded_at timestamptz NOT NULL DEFAULT now(),
    at          timestamptz NOT NULL,
    level       text NOT NULL CONSTRAINT run_events_level_written
                CHECK (level IN ('debug', 'info', 'warning', 'error')),
    message     text NOT NULL CHECK (length(message) <= 8192),
    progress    double precision CHECK (progress BETWEEN 0 AND 1),
    payload     jsonb
) PARTITION BY RANGE (recorded_at);
CREATE INDEX run_events_run ON ops.run_events (run_id, id);

-- Makes this month's partition and those of the months ahead, and takes away
-- those of which `keep` whole months have passed: detached at one call, dropped
-- at the next. Says what it did.
CREATE FUNCTION ops.keep_event_partitions(ahead integer, keep integer) RETURNS TABLE (partition text, done text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    month    date;
    name     text;
    attached boolean;
BEGIN
    IF ahead NOT BETWEEN 1 AND 24 OR keep < 1 THEN
        RAISE EXCEPTION 'between 1 and 24 months are made ahead, and at least one is kept' USING ERRCODE = 'HD006';
    END IF;
    -- Two at once would make the same ones.
    PERFORM pg_advisory_xact_lock(hashtextextended('ops.run_events', 0));
    FOR month, name IN
        SELECT m::date, 'run_events_' || to_char(m, 'YYYYMM')
        FROM generate_series(date_trunc('month', now()), date_trunc('month', now()) + make_interval(months => ahead),
                             interval '1 month') m
    LOOP
        CONTINUE WHEN to_regclass('ops.' || name) IS NOT NULL;
        -- Made aside and attached, which lets others go on writing.
        EXECUTE format('CREATE TABLE ops.%I (LIKE ops.run_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE ops.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON ops.%I TO heddle_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('COMMENT ON TABLE ops.%I IS %L', name, 'not audited: what runs say');
        EXECUTE format('ALTER TABLE ops.run_events ATTACH PARTITION ops.%I FOR VALUES FROM (%L) TO (%L)',
                       name, month::timestamptz, (month + interval '1 month')::timestamptz);
        partition := name;
        done := 'made';
        RETURN NEXT;
    END LOOP;
    FOR name, attached IN
        SELECT c.relname, c.relispartition FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^run_events_[0-9]{6}$'
          AND to_date(right(c.relname, 6), 'YYYYMM')
              < date_trunc('month', now()) - make_interval(months => keep)
        ORDER BY c.relname
    LOOP
        partition := name;
        IF attached THEN
            EXECUTE format('ALTER TABLE ops.run_events DETACH PARTITION ops.%I', name);
            done := 'detached';
        ELSE
            EXECUTE format('DROP TABLE ops.%I', name);
            done := 'dropped';
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- One for each month that there are events of, and three ahead.
DO $$
DECLARE
    month timestamptz;
BEGIN
    FOR month IN
        SELECT DISTINCT date_trunc('month', e.at, 'UTC') FROM ops.run_events_before e
        WHERE e.at < date_trunc('month', now(), 'UTC')
    LOOP
        EXECUTE format('CREATE TABLE ops.run_events_%s PARTITION OF ops.run_events FOR VALUES FROM (%L) TO (%L)',
                       to_char(month AT TIME ZONE 'UTC', 'YYYYMM'), month,
                       (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
        EXECUTE format('COMMENT ON TABLE ops.run_events_%s IS %L', to_char(month AT TIME ZONE 'UTC', 'YYYYMM'),
                       'not audited: what runs say');
    END LOOP;
END $$;
SELECT ops.keep_event_partitions(3, 1200);

INSERT INTO ops.run_events (id, run_id, project_id, recorded_at, at, level, message, progress)
SELECT e.id, e.run_id, r.project_id, least(e.at, now()), e.at, e.level, e.message, e.progress
FROM ops.run_events_before e JOIN ops.runs r ON r.id = e.run_id
ORDER BY e.id;
SELECT setval('ops.run_event_ids', GREATEST((SELECT max(id) FROM ops.run_events_before), 1),
              EXISTS (SELECT FROM ops.run_events_before));
DROP TABLE ops.run_events_before;

-- Plans are made while tables are empty, and kept. So the functions that handle
-- many runs leave no choice: indexes are to be used, ids are looked up by
-- `= ANY` and by left joins from the arrays, and never the other way round.

-- What the caller's connection has turned into. Inside the functions below
-- current_user is their owner.
CREATE FUNCTION ops.caller() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('role');

CREATE FUNCTION ops.lane(priority text, preview boolean) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN preview THEN 3 WHEN priority = 'high' THEN 0 WHEN priority = 'low' THEN 2 ELSE 1 END;

-- The turn that a lane has come to.
CREATE FUNCTION ops.turn_of(lane smallint) RETURNS bigint
    LANGUAGE sql VOLATILE
    RETURN COALESCE(pg_sequence_last_value(
        CASE lane WHEN 0 THEN 'ops.turn_high'::regclass WHEN 1 THEN 'ops.turn_normal'::regclass
                  WHEN 2 THEN 'ops.turn_low'::regclass ELSE 'ops.turn_preview'::regclass END), 1);

-- Refuses a caller who may not ask for a kind of run there. Whoever may not even
-- see the project is told that there is no such thing.
CREATE FUNCTION ops.may_run(of_kind text, project uuid, environment uuid) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    wanted text;
BEGIN
    IF ops.caller() <> 'heddle_user' THEN
        RETURN;
    END IF;
    SELECT k.permission INTO wanted FROM ops.run_kinds k WHERE k.kind = of_kind;
    IF environment IS NULL THEN
        IF project IN (SELECT ops.my_projects(wanted)) THEN
            RETURN;
        END IF;
    ELSIF environment IN (SELECT ops.my_environments(wanted)) THEN
        RETURN;
    END IF;
    IF project IN (SELECT ops.my_projects('read')) THEN
        RAISE EXCEPTION 'you may not ask for a % there', replace(of_kind, '_', ' of a ')
            USING ERRCODE = 'HD003', HINT = 'ask a member who may: production needs operate, the rest ' || wanted;
    END IF;
    RAISE EXCEPTION 'there is no project %', project USING ERRCODE = 'HD001';
END $$;

-- Whether a run must be approved before it is claimed: `none` or `pending`.
-- Nobody asks for approvals yet; what brings policies replaces this.
CREATE FUNCTION ops.approval_of(of_kind text, project uuid, environment uuid, requester text) RETURNS text
    LANGUAGE sql STABLE
    RETURN 'none';

-- Gives queued runs their place among those that can be claimed. The callers
-- have set their state and hold them.
CREATE FUNCTION ops.place_runs(runs uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    WITH moved AS (
        UPDATE ops.runs r
        SET lane = CASE WHEN r.run_at > now() THEN 9 ELSE ops.lane(r.priority, r.preview) END,
            turn = ops.turn_of(ops.lane(r.priority, r.preview)) + 1
        WHERE r.id = ANY (runs)
        RETURNING r.id, r.lane, r.turn, r.project_id, r.tenant_id, r.kind, r.labels, r.deadline, r.run_at
    )
    INSERT INTO ops.run_ready (lane, turn, run_id, project_id, tenant_id, kind, labels, deadline, run_at)
    SELECT m.lane, m.turn, m.id, m.project_id, m.tenant_id, m.kind, m.labels, m.deadline,
           CASE WHEN m.lane = 9 THEN m.run_at END
    FROM moved m;
END $$;

-- Appends control's own words.
CREATE FUNCTION ops.note_runs(runs uuid[], level text, messages text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    INSERT INTO ops.run_events (run_id, project_id, at, level, message)
    SELECT r.id, r.project_id, now(), level, n.message
    FROM unnest(runs, messages) AS n (run_id, message) JOIN ops.runs r ON r.id = n.run_id;
END;

-- Queues runs, one for each id; every other array has one element for each, or
-- is null. A user is the requester whatever is said. Answers with the runs that
-- were not queued: `before`, when the requester has used the key for the same
-- request already, with that run; `busy`, when there is a live run with the
-- same unique key, with that one.
CREATE FUNCTION ops.queue_runs(
    ids uuid[], projects uuid[], kinds text[], requester text DEFAULT 'platform',
    environments uuid[] DEFAULT NULL, tenants uuid[] DEFAULT NULL, builds uuid[] DEFAULT NULL,
    snapshots uuid[] DEFAULT NULL, restores uuid[] DEFAULT NULL, shas text[] DEFAULT NULL, refs text[] DEFAULT NULL,
    metadata jsonb[] DEFAULT NULL, payloads jsonb[] DEFAULT NULL, priorities text[] DEFAULT NULL,
    -- Joined by commas.
    labels text[] DEFAULT NULL,
    attempts integer[] DEFAULT NULL, deadlines integer[] DEFAULT NULL, run_ats timestamptz[] DEFAULT NULL,
    unique_keys text[] DEFAULT NULL, keys text[] DEFAULT NULL, hashes bytea[] DEFAULT NULL,
    -- Pairs: the first waits for the second.
    dependents uuid[] DEFAULT NULL, dependencies uuid[] DEFAULT NULL)
    RETURNS TABLE (asked uuid, outcome text, run uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    who     text := queue_runs.requester;
    waits   uuid[];
    known   bigint;
    made    uuid[];
    found   record;
BEGIN
    CASE ops.caller()
        WHEN 'heddle_user' THEN
            who := COALESCE('key:' || ops.claim('key'), 'user:' || ops.claim('user'));
            IF who IS NULL THEN
                RAISE EXCEPTION 'nobody asks for this' USING ERRCODE = 'HD003';
            END IF;
            FOR found IN
                SELECT DISTINCT a.kind, a.project, COALESCE(a.environment, t.environment_id) AS environment
                FROM unnest(kinds, projects, environments, tenants) AS a (kind, project, environment, tenant)
                LEFT JOIN ops.tenants t ON t.id = a.tenant
            LOOP
                PERFORM ops.may_run(found.kind, found.project, found.environment);
            END LOOP;
        WHEN 'heddle_worker' THEN
            -- What follows from a fact that it has reported.
            IF NOT (kinds <@ ARRAY['backup', 'expire']
                    AND ARRAY(SELECT ops.my_tenants()) @> tenants AND cardinality(tenants) = cardinality(ids)) THEN
                RAISE EXCEPTION 'a worker may not ask for this' USING ERRCODE = 'HD003';
            END IF;
            who := 'platform';
        ELSE
    END CASE;

    IF cardinality(dependents) > 0 THEN
        -- None of them ends before this is committed: it would not see who waits.
        PERFORM FROM ops.runs r WHERE r.id = ANY (dependencies) ORDER BY r.id FOR SHARE;
        FOR found IN
            SELECT d.after, r.state, r.project_id = a.project AS same
            FROM unnest(dependents, dependencies) AS d (run, after)
            JOIN unnest(ids, projects) AS a (id, project) ON a.id = d.run
            LEFT JOIN ops.runs r ON r.id = d.after
        LOOP
            IF found.same IS NOT TRUE THEN
                RAISE EXCEPTION 'there is no run % to wait for in this project', found.after USING ERRCODE = 'HD001';
            ELSIF found.state IN ('failed', 'cancelled', 'dead') THEN
                RAISE EXCEPTION 'the run % to wait for is % already', found.after, found.state
                    USING ERRCODE = 'HD002', HINT = 'retry it first';
            END IF;
        END LOOP;
        waits := ARRAY(SELECT d.run FROM unnest(dependents, dependencies) AS d (run, after)
                       JOIN ops.runs r ON r.id = d.after WHERE r.state <> 'succeeded');
    END IF;

    WITH asked AS MATERIALIZED (
        SELECT a.*, e.id AS in_environment, COALESCE(e.stage = 'development', false) AS preview,
               COALESCE(a.wanted_priority, k.priority) AS priority,
               ops.lane(COALESCE(a.wanted_priority, k.priority), COALESCE(e.stage = 'development', false)) AS lane,
               COALESCE(a.tries, k.max_attempts) AS max_attempts,
               CASE WHEN a.unique_key IS NOT NULL THEN 'key ' || a.unique_key
                    WHEN k.alone THEN a.kind || ' ' || a.tenant END AS single,
               CASE WHEN a.kind = 'probe' THEN 'none'
                    ELSE ops.approval_of(a.kind, a.project, e.id, who) END AS approval,
               k.kind IS NOT NULL AND p.id IS NOT NULL
                   AND CASE WHEN a.tenant IS NOT NULL THEN t.environment_id = e.id AND e.project_id = a.project
                            WHEN a.environment IS NOT NULL THEN e.project_id = a.project
                            ELSE true END
                   AND (a.build IS NULL
                        OR EXISTS (SELECT FROM ops.builds b WHERE b.id = a.build AND b.project_id = a.project))
                   AND (a.snapshot IS NULL
                        OR EXISTS (SELECT FROM ops.snapshots s WHERE s.id = a.snapshot AND s.tenant_id = a.tenant))
                   AND (a.restore IS NULL
                        OR EXISTS (SELECT FROM ops.restores s WHERE s.id = a.restore AND s.tenant_id = a.tenant))
                   AS good
        FROM unnest(ids, projects, kinds, environments, tenants, builds, snapshots, restores, shas, refs, metadata,
                    payloads, priorities, labels, attempts, deadlines, run_ats, unique_keys, keys, hashes)
             WITH ORDINALITY AS a (id, project, kind, environment, tenant, build, snapshot, restore, sha, ref, metadata,
                                   payload, wanted_priority, labels, tries, deadline, run_at, unique_key, key, hash,
                                   place)
        LEFT JOIN ops.run_kinds k ON k.kind = a.kind
        LEFT JOIN ops.projects p ON p.id = a.project
        LEFT JOIN ops.tenants t ON t.id = a.tenant
        LEFT JOIN ops.environments e ON e.id = COALESCE(a.environment, t.environment_id)
    ), placed AS (
        -- Where its project goes on in its lane, looked up for the first of each.
        SELECT a.*, a.nth + max(CASE WHEN a.nth = 1 THEN GREATEST(ops.turn_of(a.lane), (
                   SELECT max(q.turn) FROM ops.run_ready q
                   WHERE q.project_id = a.project AND q.lane = a.lane AND q.turn > ops.turn_of(a.lane))) END)
                   OVER (PARTITION BY a.project, a.lane ORDER BY a.place) AS turn
        FROM (SELECT a.*, row_number() OVER (PARTITION BY a.project, a.lane ORDER BY a.place) AS nth
              FROM asked a WHERE a.good) a
    ), made AS (
        INSERT INTO ops.runs (id, kind, state, project_id, environment_id, tenant_id, build_id, snapshot_id, restore_id,
                              sha, ref, metadata, payload, requester, idempotency_key, request_hash, priority, preview,
                              approval, labels, max_attempts, deadline, run_at, unique_key, lane, turn)
        SELECT a.id, a.kind,
               CASE WHEN a.approval = 'pending' OR a.id = ANY (waits) THEN 'waiting' ELSE 'queued' END,
               a.project, a.in_environment, a.tenant, a.build, a.snapshot, a.restore, a.sha, a.ref,
               COALESCE(a.metadata, '{}'), COALESCE(a.payload, '{}'), who, a.key, a.hash, a.priority, a.preview,
               a.approval, string_to_array(a.labels, ','), a.max_attempts, a.deadline, a.run_at, a.single,
               CASE WHEN a.run_at > now() THEN 9 ELSE a.lane END, a.turn
        FROM placed a
        ON CONFLICT DO NOTHING
        RETURNING id, state, project_id, tenant_id, kind, labels, deadline, run_at, lane, turn
    ), ready AS (
        INSERT INTO ops.run_ready (lane, turn, run_id, project_id, tenant_id, kind, labels, deadline, run_at)
        SELECT m.lane, m.turn, m.id, m.project_id, m.tenant_id, m.kind, m.labels, m.deadline,
               CASE WHEN m.lane = 9 THEN m.run_at END
        FROM made m WHERE m.state = 'queued'
    )
    SELECT (SELECT count(*) FROM asked a WHERE a.good), (SELECT array_agg(m.id) FROM made m) INTO known, made;

    IF known < cardinality(ids) THEN
        RAISE EXCEPTION 'there is no such project, environment, tenant or kind of run' USING ERRCODE = 'HD001';
    END IF;
    IF cardinality(dependents) > 0 THEN
        INSERT INTO ops.run_dependencies (run_id, after_id)
        SELECT d.run, d.after FROM unnest(dependents, dependencies) AS d (run, after)
        WHERE d.run = ANY (made)
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(made) = cardinality(ids) THEN
        RETURN;
    END IF;
    FOR found IN
        SELECT a.id, a.key, a.hash, b.id AS before, b.request_hash,
               CASE WHEN b.id IS NULL THEN (
                   SELECT l.id FROM ops.runs l
                   WHERE l.project_id = a.project
                     AND l.alone = CASE WHEN a.unique_key IS NOT NULL THEN 'key ' || a.unique_key
                                        ELSE a.kind || ' ' || a.tenant END) END AS busy
        FROM unnest(ids, projects, kinds, tenants, unique_keys, keys, hashes)
             AS a (id, project, kind, tenant, unique_key, key, hash)
        LEFT JOIN ops.runs b ON b.requester = who AND b.idempotency_key = a.key
        WHERE a.id <> ALL (COALESCE(made, '{}'))
    LOOP
        IF found.before IS NOT NULL AND found.request_hash IS DISTINCT FROM found.hash THEN
            RAISE EXCEPTION 'the idempotency key "%" was used for another request', found.key
                USING ERRCODE = 'HD005', HINT = 'use a new key for each new request';
        END IF;
        asked := found.id;
        outcome := CASE WHEN found.before IS NOT NULL THEN 'before' ELSE 'busy' END;
        run := COALESCE(found.before, found.busy);
        RETURN NEXT;
    END LOOP;
END $$;

-- Queues one run, and answers with it: the one that was queued before under the
-- same key, if there is one.
CREATE FUNCTION ops.queue_run(
    project uuid, environment uuid, sha text, ref text, kind text, metadata jsonb DEFAULT '{}',
    idempotency_key text DEFAULT NULL)
    RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    id     uuid := gen_random_uuid();
    before record;
BEGIN
    SELECT q.outcome, q.run INTO before
    FROM ops.queue_runs(ARRAY[id], ARRAY[project], ARRAY[kind], environments => ARRAY[environment],
                        shas => ARRAY[sha], refs => ARRAY[ref], metadata => ARRAY[metadata],
                        keys => ARRAY[idempotency_key],
                        hashes => ARRAY[CASE WHEN idempotency_key IS NOT NULL THEN sha256(convert_to(concat_ws(
                            E'\x1f', project, environment, COALESCE(sha, ''), COALESCE(ref, ''), kind, metadata),
                            'UTF8')) END]) q;
    RETURN COALESCE(before.run, id);
END $$;

-- Takes up to n runs that the worker is made for, under new leases. At most
-- `previews` of them are previews: a worker with several slots keeps one for the
-- rest. None while it drains.
CREATE FUNCTION ops.claim_next_run(
    worker uuid, kinds text[], n integer DEFAULT 1, lease interval DEFAULT interval '10 seconds',
    previews integer DEFAULT NULL)
    RETURNS TABLE (run uuid, kind text, tenant uuid, fence bigint, attempt integer, metadata jsonb)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    -- Rows of the turns just passed may still be there, or be committed late.
    slack constant bigint := 1000;
    high    bigint := COALESCE(pg_sequence_last_value('ops.turn_high'), 1);
    normal  bigint := COALESCE(pg_sequence_last_value('ops.turn_normal'), 1);
    low     bigint := COALESCE(pg_sequence_last_value('ops.turn_low'), 1);
    preview bigint := COALESCE(pg_sequence_last_value('ops.turn_preview'), 1);
    claimer record;
    capped  boolean;
    fully   record;
    picked  record;
    held    uuid[];
BEGIN
    IF ops.caller() = 'heddle_worker' AND claim_next_run.worker IS DISTINCT FROM ops.my_worker() THEN
        RAISE EXCEPTION 'a worker claims for itself' USING ERRCODE = 'HD003';
    END IF;
    SELECT w.labels, w.draining_at, w.seen_at < now() - interval '1 second' OR w.gone_at IS NOT NULL AS unseen,
           ARRAY(SELECT k.kind FROM ops.run_kinds k
                 WHERE k.kind = ANY (claim_next_run.kinds) AND (w.kinds IS NULL OR k.worker = ANY (w.kinds))) AS kinds
    INTO claimer FROM ops.workers w WHERE w.id = claim_next_run.worker;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no worker %', claim_next_run.worker
            USING ERRCODE = 'HD001', HINT = 'a worker registers when it starts';
    END IF;
    IF claimer.unseen THEN
        UPDATE ops.workers SET seen_at = now(), gone_at = NULL WHERE id = claim_next_run.worker;
    END IF;
    IF claimer.draining_at IS NOT NULL THEN
        RETURN;
    END IF;
    capped := EXISTS (SELECT FROM ops.queue_caps c WHERE c.kind IS NULL OR c.kind = ANY (claimer.kinds));
    IF capped THEN
        -- One after the other: two would each see the last free place.
        PERFORM pg_advisory_xact_lock(hashtextextended('ops.queue_caps', 0));
        SELECT array_agg(c.project_id) AS projects, array_agg(c.kind) AS kinds INTO fully
        FROM ops.queue_caps c
        WHERE c.at_most <= (SELECT count(*) FROM ops.leases l
                            WHERE (c.project_id IS NULL OR l.project_id = c.project_id)
                              AND (c.kind IS NULL OR l.kind = c.kind));
    ELSE
        SELECT NULL::uuid[] AS projects, NULL::text[] AS kinds INTO fully;
    END IF;

    SELECT array_agg(p.place) AS places, array_agg(p.run_id) AS runs, array_agg(p.project_id) AS projects,
           array_agg(p.tenant_id) AS tenants, array_agg(p.kind) AS kinds, array_agg(p.deadline) AS deadlines,
           count(p.tenant_id) > 0 AS of_tenants,
           max(p.turn) FILTER (WHERE p.lane = 0) AS high, max(p.turn) FILTER (WHERE p.lane = 1) AS normal,
           max(p.turn) FILTER (WHERE p.lane = 2) AS low, max(p.turn) FILTER (WHERE p.lane = 3) AS preview
    INTO picked
    FROM (
        SELECT q.*
        FROM (VALUES (0::smallint, high, n), (1::smallint, normal, n), (2::smallint, low, n),
                     (3::smallint, preview, COALESCE(previews, n))) AS l (lane, passed, most),
             LATERAL (
                 SELECT r.ctid AS place, r.lane, r.turn, r.run_id, r.project_id, r.tenant_id, r.kind, r.deadline
                 FROM ops.run_ready r
                 WHERE r.lane = l.lane AND r.turn >= l.passed - slack AND r.kind = ANY (claimer.kinds)
                   AND (r.labels IS NULL OR r.labels <@ claimer.labels)
                   AND (r.tenant_id IS NULL
                        OR NOT EXISTS (SELECT FROM ops.leases h WHERE h.tenant_id = r.tenant_id))
                   AND (fully.projects IS NULL OR NOT EXISTS (
                            SELECT FROM unnest(fully.projects, fully.kinds) AS f (project, kind)
                            WHERE (f.project IS NULL OR f.project = r.project_id)
                              AND (f.kind IS NULL OR f.kind = r.kind)))
                 ORDER BY r.turn, r.run_id
                 LIMIT l.most
                 FOR UPDATE OF r SKIP LOCKED
             ) q
        LIMIT n
    ) p;
    IF picked.runs IS NULL THEN
        RETURN;
    END IF;
    IF picked.high > high THEN PERFORM setval('ops.turn_high', picked.high); END IF;
    IF picked.normal > normal THEN PERFORM setval('ops.turn_normal', picked.normal); END IF;
    IF picked.low > low THEN PERFORM setval('ops.turn_low', picked.low); END IF;
    IF picked.preview > preview THEN PERFORM setval('ops.turn_preview', picked.preview); END IF;

    IF capped THEN
        -- No more of them than there is room for.
        SELECT array_agg(p.place ORDER BY p.nth) AS places, array_agg(p.run ORDER BY p.nth) AS runs,
               array_agg(p.project ORDER BY p.nth) AS projects, array_agg(p.tenant ORDER BY p.nth) AS tenants,
               array_agg(p.kind ORDER BY p.nth) AS kinds, array_agg(p.deadline ORDER BY p.nth) AS deadlines,
               picked.of_tenants AS of_tenants
        INTO picked
        FROM unnest(picked.places, picked.runs, picked.projects, picked.tenants, picked.kinds, picked.deadlines)
             WITH ORDINALITY AS p (place, run, project, tenant, kind, deadline, nth)
        WHERE p.nth NOT IN (
            SELECT x.nth
            FROM (
                SELECT o.nth, c.at_most - (SELECT count(*) FROM ops.leases l
                                           WHERE (c.project_id IS NULL OR l.project_id = c.project_id)
                                             AND (c.kind IS NULL OR l.kind = c.kind)) AS room,
                       row_number() OVER (PARTITION BY c.id ORDER BY o.nth) AS rank
                FROM unnest(picked.projects, picked.kinds) WITH ORDINALITY AS o (project, kind, nth)
                JOIN ops.queue_caps c ON (c.project_id IS NULL OR c.project_id = o.project)
                                     AND (c.kind IS NULL OR c.kind = o.kind)
            ) x
            WHERE x.rank > x.room);
        IF picked.runs IS NULL THEN
            RETURN;
        END IF;
    END IF;

    IF NOT picked.of_tenants THEN
        DELETE FROM ops.run_ready r WHERE r.ctid = ANY (picked.places);
        RETURN QUERY
        WITH claimed AS (
            UPDATE ops.runs r
            SET state = 'running', attempts = r.attempts + 1, fence = nextval('ops.fences'), started_at = now(),
                progress = NULL
            WHERE r.id = ANY (picked.runs)
            RETURNING r.id, r.project_id, r.kind, r.fence, r.attempts, r.deadline, r.metadata
        ), leased AS (
            INSERT INTO ops.leases (run_id, project_id, kind, worker_id, fence, expires_at, deadline_at)
            SELECT c.id, c.project_id, c.kind, claim_next_run.worker, c.fence, now() + lease,
                   now() + COALESCE(make_interval(secs => c.deadline),
                                    (SELECT k.deadline FROM ops.run_kinds k WHERE k.kind = c.kind))
            FROM claimed c
        )
        SELECT c.id, c.kind, NULL::uuid, c.fence, c.attempts, c.metadata FROM claimed c;
        RETURN;
    END IF;
    -- Of one tenant only one at a time, whoever is quicker.
    WITH leased AS (
        INSERT INTO ops.leases (run_id, project_id, tenant_id, kind, worker_id, fence, expires_at, deadline_at)
        SELECT p.run, p.project, p.tenant, p.kind, claim_next_run.worker, nextval('ops.fences'), now() + lease,
               now() + COALESCE(make_interval(secs => p.deadline),
                                (SELECT k.deadline FROM ops.run_kinds k WHERE k.kind = p.kind))
        FROM unnest(picked.runs, picked.projects, picked.tenants, picked.kinds, picked.deadlines)
             AS p (run, project, tenant, kind, deadline)
        ON CONFLICT DO NOTHING
        RETURNING run_id
    )
    SELECT array_agg(leased.run_id) INTO held FROM leased;
    DELETE FROM ops.run_ready r WHERE r.ctid = ANY (picked.places) AND r.run_id = ANY (held);
    RETURN QUERY
    UPDATE ops.runs r
    SET state = 'running', attempts = r.attempts + 1, started_at = now(), progress = NULL,
        fence = (SELECT l.fence FROM ops.leases l WHERE l.run_id = r.id)
    WHERE r.id = ANY (held)
    RETURNING r.id, r.kind, r.tenant_id, r.fence, r.attempts, r.metadata;
END $$;

-- Keeps leases alive, and says who is to stop: `cancel` or `deadline`. A run
-- that is not answered for is not held under its fence any more.
CREATE FUNCTION ops.heartbeats(
    runs uuid[], fences bigint[], begun boolean[] DEFAULT NULL, lease interval DEFAULT interval '10 seconds')
    RETURNS TABLE (run uuid, stop text, worker uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    me uuid := CASE WHEN ops.caller() = 'heddle_worker' THEN ops.my_worker() END;
BEGIN
    RETURN QUERY
    UPDATE ops.leases l
    SET expires_at = now() + lease,
        begun_at = CASE WHEN l.begun_at IS NULL AND heartbeats.begun[array_position(runs, l.run_id)] THEN now()
                        ELSE l.begun_at END,
        sign_at = CASE WHEN l.begun_at IS NOT NULL OR heartbeats.begun[array_position(runs, l.run_id)] THEN now()
                       ELSE l.sign_at END
    WHERE l.run_id = ANY (runs) AND l.fence = fences[array_position(runs, l.run_id)]
      AND (me IS NULL OR l.worker_id = me)
    RETURNING l.run_id, l.stop, l.worker_id;
END $$;

CREATE FUNCTION ops.heartbeat(held uuid, under bigint, lease interval DEFAULT interval '10 seconds')
    RETURNS TABLE (run uuid, stop text, worker uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT h.run, h.stop, h.worker FROM ops.heartbeats(ARRAY[held], ARRAY[under], NULL, lease) h;
END;

-- The run of a lease that is still held, locked with it until the transaction ends.
CREATE FUNCTION ops.hold_run(held uuid, under bigint)
    RETURNS TABLE (id uuid, kind text, tenant_id uuid, project_id uuid, build_id uuid, snapshot_id uuid,
                   restore_id uuid, started_at timestamptz, worker_id uuid, attempts integer, max_attempts integer,
                   cancel_requested boolean)
    LANGUAGE sql SECURITY DEFINER SET search_path = '' ROWS 1
BEGIN ATOMIC
    SELECT r.id, r.kind, r.tenant_id, r.project_id, r.build_id, r.snapshot_id, r.restore_id, r.started_at, l.worker_id,
           r.attempts, r.max_attempts, r.cancel_requested
    FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id
    WHERE l.run_id = held AND l.fence = under
      AND (ops.caller() <> 'heddle_worker' OR l.worker_id = ops.my_worker())
    FOR UPDATE OF l, r;
END;

-- Appends what runs have said under their leases. The first arrays have one
-- element a run: the number of its last event here, and its progress if it told
-- any. The others have one an event: which of the runs said it, counted from 1,
-- and its number, which grows along a lease from 1: what was appended already is
-- not appended again. Answers with the runs that are not held so.
CREATE FUNCTION ops.append_events(
    runs uuid[], fences bigint[], lasts bigint[], fractions double precision[],
    owners integer[], numbers bigint[], ats timestamptz[], levels text[], messages text[],
    progress double precision[] DEFAULT NULL, payloads jsonb[] DEFAULT NULL,
    -- Their last words: probes are let go of in the same transaction, and their leases need not be kept up.
    ending boolean DEFAULT false)
    RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    me   uuid := CASE WHEN ops.caller() = 'heddle_worker' THEN ops.my_worker() END;
    held record;
    telling uuid[];
BEGIN
    -- In order, so that two who wait for each other's do not.
    PERFORM FROM ops.leases l WHERE l.run_id = ANY (runs) ORDER BY l.run_id FOR NO KEY UPDATE;
    SELECT array_agg(COALESCE(l.project_id, '00000000-0000-0000-0000-000000000000') ORDER BY h.nth) AS projects,
           array_agg(COALESCE(l.told, 9223372036854775807) ORDER BY h.nth) AS told,
           bool_and(l.run_id IS NOT NULL) AS whole, NOT (ending AND bool_and(l.kind = 'probe')) AS kept
    INTO held
    FROM unnest(runs, fences) WITH ORDINALITY AS h (run, fence, nth)
    LEFT JOIN ops.leases l ON l.run_id = h.run AND l.fence = h.fence AND (me IS NULL OR l.worker_id = me);

    INSERT INTO ops.run_events (run_id, project_id, at, level, message, progress, payload)
    SELECT runs[e.owner], held.projects[e.owner], e.at, e.level, e.message, e.progress, e.payload
    FROM unnest(owners, numbers, ats, levels, messages, append_events.progress, payloads)
         AS e (owner, number, at, level, message, progress, payload)
    WHERE e.number > held.told[e.owner];

    IF held.kept IS NOT FALSE THEN
        UPDATE ops.leases l
        SET told = GREATEST(l.told, lasts[array_position(runs, l.run_id)]), sign_at = now(),
            begun_at = COALESCE(l.begun_at, now())
        WHERE l.run_id = ANY (runs) AND l.fence = fences[array_position(runs, l.run_id)]
          AND (me IS NULL OR l.worker_id = me);
    END IF;
    telling := ARRAY(SELECT h.run FROM unnest(runs, fractions, held.told) AS h (run, fraction, told)
                     WHERE h.fraction IS NOT NULL AND h.told < 9223372036854775807);
    IF cardinality(telling) > 0 THEN
        UPDATE ops.runs r SET progress = fractions[array_position(runs, r.id)] WHERE r.id = ANY (telling);
    END IF;
    IF held.whole IS NOT TRUE THEN
        RETURN QUERY
        SELECT h.run FROM unnest(runs, held.told) AS h (run, told) WHERE h.told = 9223372036854775807;
    END IF;
END $$;

-- Control's own word, or that of the worker which holds the run.
CREATE FUNCTION ops.append_event(run uuid, level text, message text, payload jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    holder  uuid;
    project uuid;
BEGIN
    -- One who reads on from an id must miss none: whoever appends holds the run.
    SELECT l.worker_id INTO holder FROM ops.leases l WHERE l.run_id = run FOR NO KEY UPDATE;
    IF ops.caller() = 'heddle_worker' AND holder IS DISTINCT FROM ops.my_worker() THEN
        RAISE EXCEPTION 'the run % is not held by this worker', run USING ERRCODE = 'HD004';
    END IF;
    SELECT r.project_id INTO project FROM ops.runs r WHERE r.id = run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no run %', run USING ERRCODE = 'HD001';
    END IF;
    INSERT INTO ops.run_events (run_id, project_id, at, level, message, payload)
    VALUES (run, project, now(), level, left(message, 8192), payload);
END $$;

-- The runs that waited for these: queued when nothing else is waited for, and
-- cancelled when what they wait for will not come.
CREATE FUNCTION ops.settle_dependents(succeeded uuid[], failed uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    waiting uuid[] := ARRAY(SELECT d.run_id FROM ops.run_dependencies d WHERE d.after_id = ANY (succeeded));
    lost    uuid[] := failed;
    gone    record;
BEGIN
    IF cardinality(waiting) > 0 THEN
        PERFORM ops.ready_runs(waiting);
    END IF;
    WHILE cardinality(lost) > 0 LOOP
        WITH ended AS (
            UPDATE ops.runs r
            SET state = 'cancelled', ended_at = now(),
                reason = 'the run ' || d.after_id || ', which it waits for, has not succeeded'
            FROM (SELECT DISTINCT ON (d.run_id) d.run_id, d.after_id FROM ops.run_dependencies d
                  WHERE d.after_id = ANY (lost) ORDER BY d.run_id) d
            WHERE r.id = d.run_id AND r.state = 'waiting'
            RETURNING r.id, r.reason
        )
        SELECT array_agg(e.id) AS runs, array_agg('cancelled: ' || e.reason) AS messages INTO gone FROM ended e;
        IF gone.runs IS NOT NULL THEN
            PERFORM ops.note_runs(gone.runs, 'warning', gone.messages);
        END IF;
        lost := gone.runs;
    END LOOP;
END $$;

-- Queues those of the waiting runs that wait for nothing more.
CREATE FUNCTION ops.ready_runs(runs uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    ready uuid[];
BEGIN
    -- Two that end at once come one after the other: the second sees the first.
    PERFORM FROM ops.runs r WHERE r.id = ANY (runs) ORDER BY r.id FOR UPDATE;
    WITH moved AS (
        UPDATE ops.runs r SET state = 'queued', queued_at = now(), lane = 1, turn = 0
        WHERE r.id = ANY (runs) AND r.state = 'waiting' AND r.approval IN ('none', 'granted')
          AND NOT EXISTS (SELECT FROM ops.run_dependencies d JOIN ops.runs a ON a.id = d.after_id
                          WHERE d.run_id = r.id AND a.state <> 'succeeded')
        RETURNING r.id
    )
    SELECT array_agg(m.id) INTO ready FROM moved m;
    IF ready IS NOT NULL THEN
        PERFORM ops.place_runs(ready);
    END IF;
    RETURN ready;
END $$;

-- Queues a waiting run if it waits for nothing more; answers with its state.
CREATE FUNCTION ops.ready_run(run uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    found record;
BEGIN
    SELECT r.project_id INTO found FROM ops.runs r WHERE r.id = run;
    IF found IS NULL OR (ops.caller() = 'heddle_user' AND found.project_id NOT IN (SELECT ops.my_projects('read'))) THEN
        RAISE EXCEPTION 'there is no run %', run USING ERRCODE = 'HD001';
    END IF;
    PERFORM ops.ready_runs(ARRAY[run]);
    SELECT r.state INTO found FROM ops.runs r WHERE r.id = run;
    RETURN found.state;
END $$;

-- Ends runs under their fences: `succeeded`, `failed` with a reason, or
-- `cancelled`. A failed one that may be tried again is queued for later. Answers
-- with what became of those that did not just succeed: their state; `again`, if
-- it had ended under the same fence; `stale`, if the fence is not its. `alone`:
-- only runs with which nothing else moves, and others are as if not held.
CREATE FUNCTION ops.finish_runs(
    runs uuid[], fences bigint[], states text[], reasons text[] DEFAULT NULL, hints text[] DEFAULT NULL,
    metadata jsonb[] DEFAULT NULL, alone boolean DEFAULT false)
    RETURNS TABLE (run uuid, outcome text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    me    uuid := CASE WHEN ops.caller() = 'heddle_worker' THEN ops.my_worker() END;
    held  record;
    ended record;
    gone  uuid[];
BEGIN
    SELECT array_agg(f.run) AS runs, max(f.fence) AS newest,
           array_agg(f.run) FILTER (WHERE f.plain) AS good,
           array_agg(f.run) FILTER (WHERE NOT f.plain) AS rest,
           array_agg(f.state) FILTER (WHERE NOT f.plain) AS states,
           array_agg(f.reason) FILTER (WHERE NOT f.plain) AS reasons,
           array_agg(f.hint) FILTER (WHERE NOT f.plain) AS hints,
           array_agg(f.metadata) FILTER (WHERE NOT f.plain) AS metadata
    INTO held
    FROM (SELECT u.*, u.state = 'succeeded' AND u.metadata IS NULL AS plain
          FROM unnest(runs, fences, states, reasons, hints, finish_runs.metadata)
               AS u (run, fence, state, reason, hint, metadata)) f
    CROSS JOIN LATERAL (SELECT FROM ops.leases l
                        WHERE l.run_id = f.run AND l.fence = f.fence AND (me IS NULL OR l.worker_id = me)
                          AND (l.kind = 'probe' OR NOT finish_runs.alone)
                        OFFSET 0) l;
    -- A lease that was given since has a newer fence.
    WITH released AS (
        DELETE FROM ops.leases l WHERE l.run_id = ANY (held.runs) AND l.fence <= held.newest RETURNING l.run_id
    )
    SELECT array_agg(r.run_id) INTO gone FROM released r;
    IF cardinality(held.runs) > COALESCE(cardinality(gone), 0) THEN
        -- Somebody was quicker with a few of them.
        held.good := ARRAY(SELECT unnest(held.good) INTERSECT SELECT unnest(gone));
    END IF;
    IF cardinality(held.good) > 0 THEN
        UPDATE ops.runs r
        SET state = 'succeeded', ended_at = now(), reason = NULL, hint = NULL, progress = 1, payload = '{}'
        WHERE r.id = ANY (held.good);
    END IF;
    IF held.rest IS NOT NULL THEN
        WITH ended AS (
            UPDATE ops.runs r
            SET state = CASE WHEN e.state <> 'failed' OR r.max_attempts = 1 THEN e.state
                             WHEN r.cancel_requested OR r.attempts >= r.max_attempts THEN 'dead'
                             ELSE 'queued' END,
                ended_at = CASE WHEN e.state <> 'failed' OR r.max_attempts = 1 OR r.cancel_requested
                                     OR r.attempts >= r.max_attempts THEN now() END,
                started_at = CASE WHEN e.state <> 'failed' OR r.max_attempts = 1 OR r.cancel_requested
                                       OR r.attempts >= r.max_attempts THEN r.started_at END,
                -- Longer after each attempt, and not all at the same moment.
                run_at = CASE WHEN e.state = 'failed'
                              THEN now() + least(interval '1 hour',
                                                 e.back_off * power(2, least(r.attempts - 1, 20)))
                                           * (0.75 + random() / 2) END,
                reason = e.reason, hint = e.hint,
                metadata = CASE WHEN e.metadata IS NULL THEN r.metadata ELSE r.metadata || e.metadata END,
                progress = CASE WHEN e.state = 'succeeded' THEN 1 ELSE r.progress END,
                payload = CASE WHEN e.state = 'succeeded' THEN '{}' ELSE r.payload END
            FROM (SELECT u.*, a.ctid AS place, k.back_off
                  FROM unnest(held.rest, held.states, held.reasons, held.hints, held.metadata)
                       AS u (run, state, reason, hint, metadata)
                  CROSS JOIN LATERAL (SELECT a.ctid, a.kind FROM ops.runs a WHERE a.id = u.run FOR UPDATE) a
                  LEFT JOIN ops.run_kinds k ON k.kind = a.kind
                  WHERE u.run = ANY (gone)) e
            WHERE r.ctid = e.place
            RETURNING r.id, r.state
        )
        SELECT array_agg(e.id) AS runs, array_agg(e.state) AS states,
               array_agg(e.id) FILTER (WHERE e.state = 'queued') AS later,
               array_agg(e.id) FILTER (WHERE e.state = 'succeeded') AS good,
               array_agg(e.id) FILTER (WHERE e.state IN ('failed', 'cancelled', 'dead')) AS bad
        INTO ended FROM ended e;
        IF ended.later IS NOT NULL THEN
            PERFORM ops.place_runs(ended.later);
        END IF;
        PERFORM ops.settle_dependents(ended.good, ended.bad);
        RETURN QUERY
        SELECT e.id, e.state FROM unnest(ended.runs, ended.states) AS e (id, state) WHERE e.state <> 'succeeded';
    END IF;
    PERFORM ops.settle_dependents(held.good, NULL);
    IF cardinality(gone) = cardinality(runs) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT f.run, CASE WHEN r.id IS NULL THEN 'stale' ELSE 'again' END
    FROM unnest(runs, fences) AS f (run, fence)
    LEFT JOIN ops.runs r ON r.id = f.run AND r.fence = f.fence AND r.state <> 'running'
    WHERE f.run <> ALL (COALESCE(gone, '{}'));
END $$;

-- Ends the run of the lease that the calling worker, or anybody for control,
-- holds now.
CREATE FUNCTION ops.finish_run(run uuid, status text, metadata jsonb DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    held  bigint;
    found text;
BEGIN
    SELECT l.fence INTO held FROM ops.leases l
    WHERE l.run_id = run AND (ops.caller() <> 'heddle_worker' OR l.worker_id = ops.my_worker());
    IF held IS NULL THEN
        RAISE EXCEPTION 'the run % is not held by this worker', run
            USING ERRCODE = 'HD004', HINT = 'it was given to another worker, or has ended';
    END IF;
    SELECT f.outcome INTO found
    FROM ops.finish_runs(ARRAY[run], ARRAY[held], ARRAY[status],
                         ARRAY[CASE WHEN status <> 'succeeded' THEN COALESCE(metadata ->> 'reason', status) END],
                         metadata => ARRAY[metadata]) f;
    RETURN COALESCE(found, 'succeeded');
END $$;

-- A run that has not begun ends at once; one under way when its worker has
-- stopped it. Answers with the state it was in.
CREATE FUNCTION ops.cancel_run(run uuid, why text DEFAULT 'it was cancelled before it had started') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    found record;
BEGIN
    SELECT r.* INTO found FROM ops.runs r WHERE r.id = run;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'there is no run %', run USING ERRCODE = 'HD001', HINT = '`heddle run list` shows them';
    END IF;
    IF ops.caller() = 'heddle_worker' THEN
        RAISE EXCEPTION 'a worker may not cancel a run' USING ERRCODE = 'HD003';
    END IF;
    PERFORM ops.may_run(found.kind, found.project_id, found.environment_id);
    LOOP
        -- In the order of a claim, which takes the place before the run.
        DELETE FROM ops.run_ready q WHERE q.lane = found.lane AND q.turn = found.turn AND q.run_id = run;
        PERFORM FROM ops.leases l WHERE l.run_id = run FOR UPDATE;
        SELECT r.* INTO found FROM ops.runs r WHERE r.id = run FOR UPDATE;
        -- It may have been moved meanwhile.
        EXIT WHEN NOT EXISTS (SELECT FROM ops.run_ready q
                              WHERE q.lane = found.lane AND q.turn = found.turn AND q.run_id = run);
    END LOOP;
    CASE found.state
        WHEN 'waiting', 'queued' THEN
            UPDATE ops.runs r SET state = 'cancelled', reason = why, hint = NULL, ended_at = now() WHERE r.id = run;
            PERFORM ops.settle_dependents(NULL, ARRAY[run]);
        WHEN 'running' THEN
            IF NOT found.cancel_requested THEN
                UPDATE ops.runs r SET cancel_requested = true WHERE r.id = run;
                UPDATE ops.leases l SET stop = 'cancel' WHERE l.run_id = run;
                PERFORM ops.note_runs(ARRAY[run], 'warning', ARRAY['asked to stop']);
            END IF;
        WHEN 'cancelled' THEN
        ELSE
            RAISE EXCEPTION 'the run % has % already', run, replace(found.state, 'dead', 'failed')
                USING ERRCODE = 'HD002';
    END CASE;
    RETURN found.state;
END $$;

-- Queues a run again that has failed, was cancelled, or is dead. It starts anew.
CREATE FUNCTION ops.retry_run(run uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    found record;
BEGIN
    SELECT r.* INTO found FROM ops.runs r WHERE r.id = run FOR UPDATE;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'there is no run %', run USING ERRCODE = 'HD001', HINT = '`heddle run list` shows them';
    END IF;
    IF ops.caller() = 'heddle_worker' THEN
        RAISE EXCEPTION 'a worker may not retry a run' USING ERRCODE = 'HD003';
    END IF;
    PERFORM ops.may_run(found.kind, found.project_id, found.environment_id);
    IF found.state NOT IN ('failed', 'cancelled', 'dead') THEN
        RAISE EXCEPTION 'the run % is %: only a failed or cancelled one is tried again', run, found.state
            USING ERRCODE = 'HD002';
    END IF;
    IF EXISTS (SELECT FROM ops.runs r WHERE r.project_id = found.project_id AND r.alone = found.unique_key) THEN
        RAISE EXCEPTION 'a % of the same is under way already', found.kind
            USING ERRCODE = 'HD002', HINT = 'wait for it, or cancel its run first';
    END IF;
    UPDATE ops.runs r
    SET state = 'waiting', ended_at = NULL, started_at = NULL, queued_at = now(), reason = NULL, hint = NULL,
        progress = NULL, cancel_requested = false, losses = 0, fence = NULL, run_at = NULL,
        -- As often again as at first.
        max_attempts = CASE WHEN r.max_attempts = 1 THEN 1 ELSE least(100, r.attempts + k.max_attempts) END,
        approval = CASE WHEN r.approval IN ('pending', 'refused') THEN 'pending' ELSE r.approval END
    FROM ops.run_kinds k
    WHERE r.id = run AND k.kind = r.kind;
    PERFORM ops.ready_runs(ARRAY[run]);
    PERFORM ops.note_runs(ARRAY[run], 'info', ARRAY['queued again']);
    SELECT r.state INTO found FROM ops.runs r WHERE r.id = run;
    RETURN found.state;
END $$;

-- A base backup of a tenant, and the carrying out of a restore that was planned:
-- each answers with its run.
CREATE FUNCTION ops.create_backup(tenant uuid, requested_by text DEFAULT 'platform', idempotency_key text DEFAULT NULL)
    RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    id     uuid := gen_random_uuid();
    found  record;
    before record;
BEGIN
    SELECT t.name, t.state, e.project_id INTO found
    FROM ops.tenants t JOIN ops.environments e ON e.id = t.environment_id
    WHERE t.id = tenant;
    IF found.project_id IS NULL THEN
        RAISE EXCEPTION 'there is no tenant %', tenant USING ERRCODE = 'HD001';
    ELSIF found.state <> 'active' THEN
        PERFORM ops.may_run('backup', found.project_id, (SELECT t.environment_id FROM ops.tenants t WHERE t.id = tenant));
        RAISE EXCEPTION '% is %: only an active tenant is backed up', found.name, found.state USING ERRCODE = 'HD002';
    END IF;
    SELECT q.outcome, q.run INTO before
    FROM ops.queue_runs(ARRAY[id], ARRAY[found.project_id], ARRAY['backup'], requested_by, tenants => ARRAY[tenant],
                        keys => ARRAY[idempotency_key],
                        hashes => ARRAY[CASE WHEN idempotency_key IS NOT NULL
                                             THEN sha256(convert_to('backup ' || tenant, 'UTF8')) END]) q;
    -- One that is under way is the one that was asked for.
    RETURN COALESCE(before.run, id);
END $$;

CREATE FUNCTION ops.restore_backup(restore uuid, requested_by text DEFAULT 'platform', idempotency_key text DEFAULT NULL)
    RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    id     uuid := gen_random_uuid();
    found  record;
    before record;
BEGIN
    SELECT s.state, s.tenant_id, e.project_id, t.environment_id INTO found
    FROM ops.restores s JOIN ops.tenants t ON t.id = s.tenant_id JOIN ops.environments e ON e.id = t.environment_id
    WHERE s.id = restore
    FOR UPDATE OF s;
    IF found.project_id IS NULL THEN
        RAISE EXCEPTION 'there is no restore %', restore USING ERRCODE = 'HD001';
    END IF;
    PERFORM ops.may_run('restore', found.project_id, found.environment_id);
    IF found.state <> 'planned' THEN
        RAISE EXCEPTION 'the restore % is %: only a planned one is carried out', restore, found.state
            USING ERRCODE = 'HD002';
    END IF;
    SELECT q.outcome, q.run INTO before
    FROM ops.queue_runs(ARRAY[id], ARRAY[found.project_id], ARRAY['restore'], requested_by,
                        tenants => ARRAY[found.tenant_id], restores => ARRAY[restore],
                        keys => ARRAY[idempotency_key],
                        hashes => ARRAY[CASE WHEN idempotency_key IS NOT NULL
                                             THEN sha256(convert_to('restore ' || restore, 'UTF8')) END]) q;
    IF before.outcome = 'busy' THEN
        RAISE EXCEPTION 'the tenant has a restore under way already'
            USING ERRCODE = 'HD002', HINT = 'wait for it, or cancel its run first';
    END IF;
    RETURN COALESCE(before.run, id);
END $$;

-- Leases to be taken back, locked: why, and how the run stood. `expired`: its
-- worker was not heard of in time. `unbegun`, `silent`: it was, but never said
-- that it had begun, or nothing more since. `overdue`: it was told to stop at
-- its deadline and did not.
CREATE FUNCTION ops.lost_leases(
    n integer, unbegun interval DEFAULT interval '5 minutes', silent interval DEFAULT interval '30 minutes',
    grace interval DEFAULT interval '1 minute', of_worker uuid DEFAULT NULL)
    RETURNS TABLE (run_id uuid, fence bigint, why text, kind text, worker text, losses integer, attempts integer,
                   max_attempts integer, deadline interval)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT l.run_id, l.fence,
           CASE WHEN of_worker IS NOT NULL OR l.expires_at < now() THEN 'expired'
                WHEN l.deadline_at < now() - grace THEN 'overdue'
                WHEN l.begun_at IS NULL THEN 'unbegun'
                ELSE 'silent' END,
           r.kind, COALESCE(w.name, 'unknown'), r.losses, r.attempts, r.max_attempts, l.deadline_at - l.claimed_at
    FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id LEFT JOIN ops.workers w ON w.id = l.worker_id
    WHERE CASE WHEN of_worker IS NOT NULL THEN l.worker_id = of_worker
               ELSE l.expires_at < now() OR l.deadline_at < now() - grace
                    OR (l.begun_at IS NULL AND l.claimed_at < now() - unbegun)
                    OR l.sign_at < now() - silent END
    LIMIT n
    FOR UPDATE OF l SKIP LOCKED;
END $$;

-- Takes runs from workers that are lost. Each goes where it is said to: `queued`
-- again, or to an end with a reason.
CREATE FUNCTION ops.take_runs(
    runs uuid[], fences bigint[], states text[], reasons text[], hints text[], notes text[])
    RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    taken record;
    gone  uuid[];
BEGIN
    WITH released AS (
        DELETE FROM ops.leases l
        WHERE l.run_id = ANY (runs) AND l.fence = fences[array_position(runs, l.run_id)]
        RETURNING l.run_id
    )
    SELECT array_agg(l.run_id) INTO gone FROM released l;
    WITH moved AS (
        UPDATE ops.runs r
        SET state = states[array_position(runs, r.id)], losses = r.losses + 1,
            -- What the lost worker still says under its fence is refused.
            fence = CASE WHEN states[array_position(runs, r.id)] <> 'queued' THEN r.fence END,
            started_at = CASE WHEN states[array_position(runs, r.id)] <> 'queued' THEN r.started_at END,
            ended_at = CASE WHEN states[array_position(runs, r.id)] <> 'queued' THEN now() END,
            progress = CASE WHEN states[array_position(runs, r.id)] <> 'queued' THEN r.progress END,
            run_at = NULL, reason = reasons[array_position(runs, r.id)], hint = hints[array_position(runs, r.id)]
        WHERE r.id = ANY (gone)
        RETURNING r.id, r.state
    )
    SELECT array_agg(m.id) AS runs, array_agg(notes[array_position(runs, m.id)]) AS notes,
           array_agg(m.id) FILTER (WHERE m.state = 'queued') AS again,
           array_agg(m.id) FILTER (WHERE m.state <> 'queued') AS ended
    INTO taken FROM moved m;
    IF taken.runs IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM ops.note_runs(taken.runs, 'warning', taken.notes);
    IF taken.again IS NOT NULL THEN
        PERFORM ops.place_runs(taken.again);
    END IF;
    PERFORM ops.settle_dependents(NULL, taken.ended);
    RETURN cardinality(taken.runs);
END $$;

-- Once a second, by one at a time: runs whose time has come become claimable;
-- those that every turn has passed come to the front again; those past their
-- deadline are told to stop. Says how many of each.
CREATE FUNCTION ops.tend_queue(lease interval DEFAULT interval '10 seconds')
    RETURNS TABLE (due integer, passed integer, overdue integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    moved uuid[];
BEGIN
    due := 0;
    passed := 0;
    overdue := 0;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('ops.tend_queue', 0)) THEN
        RETURN NEXT;
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM ops.run_ready q WHERE q.ctid = ANY (ARRAY(
            SELECT r.ctid FROM ops.run_ready r WHERE r.lane = 9 AND r.run_at <= now()
            ORDER BY r.run_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
        RETURNING q.run_id
    )
    SELECT array_agg(g.run_id) INTO moved FROM gone g;
    IF moved IS NOT NULL THEN
        due := cardinality(moved);
        PERFORM ops.place_runs(moved);
    END IF;
    WITH gone AS (
        DELETE FROM ops.run_ready q WHERE q.ctid = ANY (ARRAY(
            SELECT r.ctid
            FROM (SELECT s.lane, s.turn, s.run_id, row_number() OVER (PARTITION BY s.project_id ORDER BY s.turn) AS nth
                  FROM (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS l (lane)
                  JOIN ops.run_ready s ON s.lane = l.lane AND s.turn < ops.turn_of(l.lane) - 1000) s
            JOIN ops.run_ready r ON r.lane = s.lane AND r.turn = s.turn AND r.run_id = s.run_id
            WHERE s.nth <= 200
            FOR UPDATE OF r SKIP LOCKED))
        RETURNING q.run_id
    )
    SELECT array_agg(g.run_id) INTO moved FROM gone g;
    IF moved IS NOT NULL THEN
        passed := cardinality(moved);
        PERFORM ops.place_runs(moved);
    END IF;
    -- The clock was put back: a lease does not live longer for it, whoever holds it extends it in time.
    UPDATE ops.leases l SET expires_at = now() + lease WHERE l.expires_at > now() + lease + interval '1 second';
    UPDATE ops.leases l SET stop = 'deadline' WHERE l.deadline_at < now() AND l.stop IS NULL;
    GET DIAGNOSTICS overdue = ROW_COUNT;
    RETURN NEXT;
END $$;

-- A worker that drains takes nothing more, and ends what it has.
CREATE FUNCTION ops.drain_worker(worker text, drain boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF ops.caller() = 'heddle_worker' OR (ops.caller() = 'heddle_user' AND NOT ops.is_operator()) THEN
        RAISE EXCEPTION 'only an operator drains workers' USING ERRCODE = 'HD003';
    END IF;
    UPDATE ops.workers w
    SET draining_at = CASE WHEN drain THEN COALESCE(w.draining_at, now()) END
    WHERE w.name = worker;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no worker %', worker USING ERRCODE = 'HD001', HINT = '`heddle status` shows them';
    END IF;
    RETURN drain;
END $$;

-- What was queued before. All others may be queued again, and need a place as well then.
UPDATE ops.runs r SET lane = 1, turn = 0;
SELECT ops.place_runs(ARRAY(SELECT r.id FROM ops.runs r WHERE r.state = 'queued' ORDER BY r.id));
ALTER TABLE ops.runs VALIDATE CONSTRAINT runs_queued_has_turn;

-- Rights: everybody reads what is theirs; only the functions write.
SELECT ops.secure_tables();
REVOKE INSERT, UPDATE, DELETE ON ops.runs, ops.leases FROM heddle_control, heddle_user, heddle_worker;
REVOKE UPDATE (state, payload, attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at,
               started_at, ended_at) ON ops.runs FROM heddle_control;
REVOKE UPDATE (expires_at) ON ops.leases FROM heddle_control;
REVOKE USAGE ON SEQUENCE ops.fences FROM heddle_control;

GRANT SELECT ON ops.run_kinds TO heddle_control, heddle_user, heddle_worker;
CREATE POLICY everybody ON ops.run_kinds FOR SELECT TO heddle_user, heddle_worker USING (true);
GRANT SELECT ON ops.queue_caps TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.queue_caps FOR SELECT TO heddle_user
    USING (project_id IS NULL OR project_id IN (SELECT ops.my_projects()));
GRANT SELECT ON ops.run_ready TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.run_ready FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
DROP POLICY seen ON ops.leases;
CREATE POLICY seen ON ops.leases FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
GRANT SELECT ON ops.run_dependencies TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.run_dependencies FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.runs r WHERE r.id = run_id));
GRANT SELECT ON ops.run_events TO heddle_control, heddle_user, heddle_worker;
CREATE POLICY seen ON ops.run_events FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY held ON ops.run_events FOR SELECT TO heddle_worker
    USING (run_id IN (SELECT ops.my_runs()));
GRANT UPDATE (kinds, labels) ON ops.workers TO heddle_control;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'ops'::regnamespace
          AND p.proname IN ('caller', 'lane', 'turn_of', 'may_run', 'approval_of', 'place_runs', 'note_runs',
                            'keep_event_partitions', 'queue_runs', 'queue_run', 'claim_next_run', 'heartbeats',
                            'heartbeat', 'hold_run', 'append_events', 'append_event', 'settle_dependents',
                            'ready_runs', 'ready_run', 'finish_runs', 'finish_run', 'cancel_run', 'retry_run',
                            'create_backup', 'restore_backup', 'lost_leases', 'take_runs', 'tend_queue',
                            'drain_worker')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION ops.caller() TO heddle_control, heddle_user, heddle_worker;
GRANT EXECUTE ON FUNCTION ops.queue_runs TO heddle_control, heddle_user, heddle_worker;
GRANT EXECUTE ON FUNCTION ops.append_event TO heddle_control, heddle_worker;
GRANT EXECUTE ON FUNCTION ops.queue_run, ops.create_backup, ops.restore_backup, ops.cancel_run, ops.retry_run, ops.ready_run, ops.drain_worker
    TO heddle_control, heddle_user;
GRANT EXECUTE ON FUNCTION ops.claim_next_run, ops.heartbeats, ops.heartbeat, ops.hold_run, ops.append_events,
    ops.finish_runs, ops.finish_run TO heddle_control, heddle_worker;
GRANT EXECUTE ON FUNCTION ops.keep_event_partitions, ops.lost_leases, ops.take_runs, ops.tend_queue TO heddle_control;

COMMENT ON TABLE ops.run_ready IS 'not audited: follows from ops.runs';
COMMENT ON TABLE ops.leases IS 'not audited: follows from ops.runs';
COMMENT ON TABLE ops.run_events IS 'not audited: what runs say';

CREATE OR REPLACE VIEW ops.run_details WITH (security_invoker = true) AS
SELECT r.id, r.kind, r.state, r.project_id, p.name AS project, r.tenant_id, t.name AS tenant, r.build_id,
       r.snapshot_id, r.restore_id, r.payload, r.requester, r.request_hash, r.idempotency_key, r.attempts, r.losses,
       r.fence, r.cancel_requested, r.reason, r.hint, r.progress, r.queued_at, r.started_at, r.ended_at,
       r.environment_id, e.name AS environment, r.sha, r.ref, r.metadata, r.priority, r.approval, r.max_attempts,
       r.run_at, r.labels, r.filed
FROM ops.runs r
JOIN ops.projects p ON p.id = r.project_id
LEFT JOIN ops.tenants t ON t.id = r.tenant_id
LEFT JOIN ops.environments e ON e.id = r.environment_id;

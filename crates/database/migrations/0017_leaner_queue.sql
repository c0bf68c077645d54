-- A leaner queue. What is of a run under way is in its lease alone: a claim
-- moves a narrow row and leaves ops.runs as it is, whose rows are written when
-- they are queued and when they end. `running` is what a queued run with a lease
-- is called; ops.run_details says so, and ops.state_of.
--
-- And nothing that is done once a second reads what is dead: while somebody
-- holds a transaction open, every claim leaves dead rows that stay.

DROP FUNCTION ops.hold_run, ops.lost_leases, ops.tend_queue, ops.note_runs;

ALTER TABLE ops.leases
    -- How often the run was claimed, this time included.
    ADD attempt integer CHECK (attempt > 0),
    ADD progress double precision CHECK (progress BETWEEN 0 AND 1),
    -- Outlasted the looks at new ones: found by this.
    ADD lasting boolean NOT NULL DEFAULT false;
UPDATE ops.leases l SET attempt = r.attempts, progress = r.progress, claimed_at = r.started_at
FROM ops.runs r WHERE r.id = l.run_id;
ALTER TABLE ops.leases ALTER attempt SET NOT NULL;
CREATE INDEX leases_fence ON ops.leases (fence);
CREATE INDEX leases_lasting ON ops.leases (run_id) WHERE lasting;

UPDATE ops.runs SET state = 'queued', attempts = attempts - 1, fence = NULL, started_at = NULL, progress = NULL
WHERE state = 'running';
ALTER TABLE ops.runs
    DROP CONSTRAINT runs_running_since,
    DROP CONSTRAINT runs_state_written,
    ADD CONSTRAINT runs_state_written
        CHECK (state IN ('waiting', 'queued', 'succeeded', 'failed', 'cancelled', 'dead')),
    SET (fillfactor = 70);
COMMENT ON COLUMN ops.runs.attempts IS 'How often it was claimed; while it is under way, before that.';

-- From where on the looks begin that are made once a second. What is older was
-- looked at, and is ended or marked. There are two, so that what was begun
-- before the one and committed after it is still seen.
CREATE TABLE ops.queue_marks (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- Of leases, and of each lane's turns.
    fence  bigint NOT NULL DEFAULT 0,
    turns  bigint[] NOT NULL DEFAULT '{0,0,0,0}' CHECK (cardinality(turns) = 4),
    -- Where they will be, once these are old enough.
    later_fence bigint NOT NULL DEFAULT 0,
    later_turns bigint[] NOT NULL DEFAULT '{0,0,0,0}' CHECK (cardinality(later_turns) = 4),
    made_at     timestamptz NOT NULL DEFAULT '-infinity',
    -- When all was looked at from the beginning.
    whole_at    timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO ops.queue_marks DEFAULT VALUES;
COMMENT ON TABLE ops.queue_marks IS 'not audited: how far the looks at the queue are';

-- Whether the caller has a permission in a project: ops.my_projects for one.
CREATE FUNCTION ops.may_in(wanted text, project uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    acting record;
BEGIN
    SELECT * INTO acting FROM ops.acting;
    RETURN FOUND AND wanted = ANY (acting.scopes) AND (acting.project_id IS NULL OR acting.project_id = project)
       AND CASE WHEN acting.operator THEN EXISTS (SELECT FROM ops.projects p WHERE p.id = project)
                ELSE EXISTS (SELECT FROM ops.project_members m JOIN ops.roles r ON r.name = m.role
                             WHERE m.user_id = acting.user_id AND m.project_id = project
                               AND wanted = ANY (r.permissions)) END;
END $$;

CREATE OR REPLACE FUNCTION ops.may_run(of_kind text, project uuid, environment uuid) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    wanted text;
BEGIN
    IF ops.caller() <> 'heddle_user' THEN
        RETURN;
    END IF;
    SELECT k.permission INTO wanted FROM ops.run_kinds k WHERE k.kind = of_kind;
    IF environment IS NULL THEN
        IF ops.may_in(wanted, project) THEN
            RETURN;
        END IF;
    ELSIF environment IN (SELECT ops.my_environments(wanted)) THEN
        RETURN;
    END IF;
    IF ops.may_in('read', project) THEN
        RAISE EXCEPTION 'you may not ask for a % there', replace(of_kind, '_', ' of a ')
            USING ERRCODE = 'HD003', HINT = 'ask a member who may: production needs operate, the rest ' || wanted;
    END IF;
    RAISE EXCEPTION 'there is no project %', project USING ERRCODE = 'HD001';
END $$;

-- What is done to thousands of runs at once says itself what it does: it knows
-- what was running, and a trigger would compare all that was with all that is.
-- Such a function sets heddle.tells for that one statement; of everything else
-- the triggers tell.
DROP TRIGGER audit_created ON ops.runs;
DROP TRIGGER audit_changed ON ops.runs;
CREATE TRIGGER audit_created AFTER INSERT ON ops.runs REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT WHEN (current_setting('heddle.tells', true) IS DISTINCT FROM 'runs')
    EXECUTE FUNCTION ops.audit_of_runs();
CREATE TRIGGER audit_changed AFTER UPDATE ON ops.runs REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT WHEN (current_setting('heddle.tells', true) IS DISTINCT FROM 'runs')
    EXECUTE FUNCTION ops.audit_of_runs();

-- Ids of thousands do not get shorter.
ALTER TABLE ops.audit ALTER subjects SET STORAGE EXTERNAL;

CREATE FUNCTION ops.tell_runs(runs uuid[], projects uuid[], before text, states text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO ops.audit (project_id, act, subjects, detail)
    SELECT t.project, 'runs.changed', array_agg(t.run), jsonb_build_object('state', jsonb_build_array(before, t.state))
    FROM unnest(runs, projects, states) AS t (run, project, state)
    GROUP BY t.project, t.state;
END $$;

-- A run's state as people know it, from what its row says.
CREATE FUNCTION ops.state_of(run uuid, written text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RETURN CASE WHEN written = 'queued' AND EXISTS (SELECT FROM ops.leases l WHERE l.run_id = run) THEN 'running'
                ELSE written END;
END $$;

CREATE FUNCTION ops.note_runs(runs uuid[], level text, messages text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO ops.run_events (run_id, project_id, at, level, message)
    SELECT r.id, r.project_id, now(), note_runs.level, n.message
    FROM unnest(runs, messages) AS n (run_id, message) JOIN ops.runs r ON r.id = n.run_id;
END $$;

-- What of these can be queued: how many of them name what there is, and those that were made. A step of
-- ops.queue_runs, which has asked whether the caller may.
CREATE FUNCTION ops.queue_each(
    ids uuid[], projects uuid[], kinds text[], who text, environments uuid[], tenants uuid[], builds uuid[],
    snapshots uuid[], restores uuid[], shas text[], refs text[], metadata jsonb[], payloads jsonb[], priorities text[],
    labels text[], attempts integer[], deadlines integer[], run_ats timestamptz[], unique_keys text[], keys text[],
    hashes bytea[], dependents uuid[], dependencies uuid[], OUT known bigint, OUT made uuid[])
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    -- Read once: a condition that calls a function of its own is no condition of an index.
    turns constant bigint[] := ARRAY(SELECT ops.turn_of(l.lane::smallint) FROM generate_series(0, 3) AS l (lane)
                                     ORDER BY l.lane);
    waits uuid[];
    found record;
BEGIN
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
        SELECT a.*, a.nth + max(CASE WHEN a.nth = 1 THEN GREATEST(turns[a.lane + 1], (
                   SELECT max(q.turn) FROM ops.run_ready q
                   WHERE q.project_id = a.project AND q.lane = a.lane AND q.turn > turns[a.lane + 1])) END)
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

    IF cardinality(dependents) > 0 THEN
        INSERT INTO ops.run_dependencies (run_id, after_id)
        SELECT d.run, d.after FROM unnest(dependents, dependencies) AS d (run, after)
        WHERE d.run = ANY (made)
        ON CONFLICT DO NOTHING;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ops.queue_runs(
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
    -- Many of one kind in one project, of which nothing more is said than what they carry: nothing is looked up for each.
    alike   constant boolean := num_nonnulls(environments, tenants, builds, snapshots, restores, payloads, priorities,
                                             labels, attempts, deadlines, run_ats, unique_keys, keys) = 0
                                AND COALESCE(cardinality(dependents), 0) = 0
                                AND kinds[1] = ALL (kinds) AND projects[1] = ALL (projects);
    known   bigint;
    made    uuid[];
    found   record;
    plain   record;
    passed  bigint;
BEGIN
    CASE ops.caller()
        WHEN 'heddle_user' THEN
            who := COALESCE('key:' || ops.claim('key'), 'user:' || ops.claim('user'));
            IF who IS NULL THEN
                RAISE EXCEPTION 'nobody asks for this' USING ERRCODE = 'HD003';
            END IF;
            IF alike THEN
                PERFORM ops.may_run(kinds[1], projects[1], NULL);
            ELSE
                FOR found IN
                    SELECT DISTINCT a.kind, a.project, COALESCE(a.environment, t.environment_id) AS environment
                    FROM unnest(kinds, projects, environments, tenants) AS a (kind, project, environment, tenant)
                    LEFT JOIN ops.tenants t ON t.id = a.tenant
                LOOP
                    PERFORM ops.may_run(found.kind, found.project, found.environment);
                END LOOP;
            END IF;
        WHEN 'heddle_worker' THEN
            -- What follows from a fact that it has reported.
            IF NOT (kinds <@ ARRAY['backup', 'expire']
                    AND ARRAY(SELECT ops.my_tenants()) @> tenants AND cardinality(tenants) = cardinality(ids)) THEN
                RAISE EXCEPTION 'a worker may not ask for this' USING ERRCODE = 'HD003';
            END IF;
            who := 'platform';
        ELSE
    END CASE;

    IF alike THEN
        SELECT k.priority, k.max_attempts, k.alone, extract(epoch FROM k.deadline)::integer AS deadline,
               ops.lane(k.priority, false) AS lane,
               CASE WHEN k.kind = 'probe' THEN 'none' ELSE ops.approval_of(k.kind, projects[1], NULL, who) END AS approval
        INTO plain
        FROM ops.run_kinds k JOIN ops.projects p ON p.id = projects[1] WHERE k.kind = kinds[1];
        IF plain.approval = 'none' AND NOT plain.alone THEN
            passed := ops.turn_of(plain.lane);
            passed := GREATEST(passed, (SELECT max(q.turn) FROM ops.run_ready q
                                        WHERE q.project_id = projects[1] AND q.lane = plain.lane AND q.turn > passed));
            PERFORM set_config('heddle.tells', 'runs', true);
            INSERT INTO ops.runs (id, kind, state, project_id, sha, ref, metadata, requester, priority, max_attempts, lane, turn)
            SELECT a.id, kinds[1], 'queued', projects[1], a.sha, a.ref, COALESCE(a.metadata, '{}'), who, plain.priority,
                   plain.max_attempts, plain.lane, passed + a.place
            FROM unnest(ids, shas, refs, metadata) WITH ORDINALITY AS a (id, sha, ref, metadata, place);
            PERFORM set_config('heddle.tells', '', true);
            INSERT INTO ops.run_ready (lane, turn, run_id, project_id, kind, deadline)
            SELECT plain.lane, passed + a.place, a.id, projects[1], kinds[1], plain.deadline
            FROM unnest(ids) WITH ORDINALITY AS a (id, place);
            INSERT INTO ops.audit (project_id, act, subjects, detail)
            VALUES (projects[1], 'runs.created', ids, jsonb_build_object(
                'kind', kinds[1], 'state', 'queued', 'requester', who, 'cancel_requested', false,
                'priority', plain.priority, 'approval', 'none'));
            RETURN;
        END IF;
    END IF;
    SELECT * INTO known, made FROM ops.queue_each(ids, projects, kinds, who, environments, tenants, builds,
        snapshots, restores, shas, refs, metadata, payloads, priorities, labels, attempts, deadlines, run_ats,
        unique_keys, keys, hashes, dependents, dependencies);
    IF known < cardinality(ids) THEN
        RAISE EXCEPTION 'there is no such project, environment, tenant or kind of run' USING ERRCODE = 'HD001';
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

CREATE OR REPLACE FUNCTION ops.claim_next_run(
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
    held    record;
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

    IF picked.of_tenants THEN
        -- Of one tenant only one at a time, whoever is quicker.
        WITH leased AS (
            INSERT INTO ops.leases (run_id, project_id, tenant_id, kind, worker_id, fence, attempt, expires_at, deadline_at)
            SELECT p.run, p.project, p.tenant, p.kind, claim_next_run.worker, nextval('ops.fences'), r.attempts + 1,
                   now() + lease, now() + COALESCE(make_interval(secs => p.deadline),
                                                   (SELECT k.deadline FROM ops.run_kinds k WHERE k.kind = p.kind))
            FROM unnest(picked.runs, picked.projects, picked.tenants, picked.kinds, picked.deadlines)
                 AS p (run, project, tenant, kind, deadline)
            CROSS JOIN LATERAL (SELECT r.attempts FROM ops.runs r WHERE r.id = p.run OFFSET 0) r
            ON CONFLICT DO NOTHING
            RETURNING run_id, project_id
        )
        SELECT array_agg(l.run_id) AS runs, array_agg(l.project_id) AS projects INTO held FROM leased l;
        DELETE FROM ops.run_ready r WHERE r.ctid = ANY (picked.places) AND r.run_id = ANY (held.runs);
    ELSE
        DELETE FROM ops.run_ready r WHERE r.ctid = ANY (picked.places);
        INSERT INTO ops.leases (run_id, project_id, kind, worker_id, fence, attempt, expires_at, deadline_at)
        SELECT p.run, p.project, p.kind, claim_next_run.worker, nextval('ops.fences'), r.attempts + 1,
               now() + lease, now() + COALESCE(make_interval(secs => p.deadline),
                                               (SELECT k.deadline FROM ops.run_kinds k WHERE k.kind = p.kind))
        FROM unnest(picked.runs, picked.projects, picked.kinds, picked.deadlines) AS p (run, project, kind, deadline)
        CROSS JOIN LATERAL (SELECT r.attempts FROM ops.runs r WHERE r.id = p.run OFFSET 0) r;
        SELECT picked.runs AS runs, picked.projects AS projects INTO held;
    END IF;
    PERFORM ops.tell_runs(held.runs, held.projects, 'queued', array_fill('running'::text, ARRAY[cardinality(held.runs)]));
    RETURN QUERY
    SELECT l.run_id, l.kind, l.tenant_id, l.fence, l.attempt, r.metadata
    FROM unnest(held.runs) AS h (run)
    CROSS JOIN LATERAL (SELECT l.* FROM ops.leases l WHERE l.run_id = h.run OFFSET 0) l
    CROSS JOIN LATERAL (SELECT r.metadata FROM ops.runs r WHERE r.id = h.run OFFSET 0) r;
END $$;

CREATE OR REPLACE FUNCTION ops.append_events(
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
            begun_at = COALESCE(l.begun_at, now()),
            progress = COALESCE(fractions[array_position(runs, l.run_id)], l.progress)
        WHERE l.run_id = ANY (runs) AND l.fence = fences[array_position(runs, l.run_id)]
          AND (me IS NULL OR l.worker_id = me);
    END IF;
    IF held.whole IS NOT TRUE THEN
        RETURN QUERY
        SELECT h.run FROM unnest(runs, held.told) AS h (run, told) WHERE h.told = 9223372036854775807;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ops.finish_runs(
    runs uuid[], fences bigint[], states text[], reasons text[] DEFAULT NULL, hints text[] DEFAULT NULL,
    metadata jsonb[] DEFAULT NULL, alone boolean DEFAULT false)
    RETURNS TABLE (run uuid, outcome text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    me    uuid := CASE WHEN ops.caller() = 'heddle_worker' THEN ops.my_worker() END;
    held  record;
    plain boolean := 'succeeded' = ALL (states) AND finish_runs.metadata IS NULL;
    ended record;
BEGIN
    -- In order, so that what is said of a run is found by halving.
    SELECT array_agg(f.run) AS runs, array_agg(f.fence) AS fences INTO held
    FROM (SELECT u.run, u.fence FROM unnest(runs, fences) AS u (run, fence) ORDER BY u.run, u.fence) f;
    WITH released AS (
        DELETE FROM ops.leases l
        WHERE l.run_id = ANY (held.runs) AND l.fence = held.fences[width_bucket(l.run_id, held.runs)]
          AND (me IS NULL OR l.worker_id = me) AND (l.kind = 'probe' OR NOT finish_runs.alone)
        RETURNING l.run_id, l.project_id, l.fence, l.attempt, l.claimed_at, l.progress
    )
    SELECT array_agg(r.run_id) AS runs, array_agg(r.project_id) AS projects, array_agg(r.fence) AS fences,
           array_agg(r.attempt) AS attempts, array_agg(r.claimed_at) AS starts, array_agg(r.progress) AS progress
    INTO held
    FROM (SELECT * FROM released ORDER BY run_id) r;
    IF plain AND held.runs IS NOT NULL THEN
        PERFORM set_config('heddle.tells', 'runs', true);
        UPDATE ops.runs r
        SET state = 'succeeded', ended_at = now(), started_at = held.starts[width_bucket(r.id, held.runs)],
            attempts = held.attempts[width_bucket(r.id, held.runs)],
            fence = held.fences[width_bucket(r.id, held.runs)],
            reason = NULL, hint = NULL, progress = 1, payload = '{}'
        WHERE r.id = ANY (held.runs);
        PERFORM set_config('heddle.tells', '', true);
        PERFORM ops.tell_runs(held.runs, held.projects, 'running', states[1:cardinality(held.runs)]);
        PERFORM ops.settle_dependents(held.runs, NULL);
    ELSIF held.runs IS NOT NULL THEN
        PERFORM set_config('heddle.tells', 'runs', true);
        WITH ended AS (
            UPDATE ops.runs r
            SET state = e.becomes, fence = e.fence, attempts = e.attempt,
                ended_at = CASE WHEN e.becomes <> 'queued' THEN now() END,
                started_at = CASE WHEN e.becomes <> 'queued' THEN e.start END,
                -- Longer after each attempt, and not all at the same moment.
                run_at = CASE WHEN e.state = 'failed'
                              THEN now() + least(interval '1 hour', e.back_off * power(2, least(e.attempt - 1, 20)))
                                           * (0.75 + random() / 2) END,
                reason = e.reason, hint = e.hint,
                metadata = CASE WHEN e.metadata IS NULL THEN r.metadata ELSE r.metadata || e.metadata END,
                progress = CASE e.becomes WHEN 'succeeded' THEN 1 WHEN 'queued' THEN NULL ELSE e.progress END,
                payload = CASE WHEN e.state = 'succeeded' THEN '{}' ELSE r.payload END
            FROM (SELECT u.*, h.*, a.ctid AS place, k.back_off,
                         CASE WHEN u.state <> 'failed' OR a.max_attempts = 1 THEN u.state
                              WHEN a.cancel_requested OR h.attempt >= a.max_attempts THEN 'dead'
                              ELSE 'queued' END AS becomes
                  FROM unnest(runs, fences, states, reasons, hints, finish_runs.metadata)
                       AS u (run, said, state, reason, hint, metadata)
                  JOIN unnest(held.runs, held.fences, held.attempts, held.starts, held.progress)
                       AS h (held, fence, attempt, start, progress) ON h.held = u.run AND h.fence = u.said
                  CROSS JOIN LATERAL (SELECT a.ctid, a.kind, a.max_attempts, a.cancel_requested
                                      FROM ops.runs a WHERE a.id = u.run FOR UPDATE) a
                  LEFT JOIN ops.run_kinds k ON k.kind = a.kind) e
            WHERE r.ctid = e.place
            RETURNING r.id, r.project_id, r.state
        )
        SELECT array_agg(e.id) AS runs, array_agg(e.project_id) AS projects, array_agg(e.state) AS states,
               array_agg(e.id) FILTER (WHERE e.state = 'queued') AS later,
               array_agg(e.id) FILTER (WHERE e.state = 'succeeded') AS good,
               array_agg(e.id) FILTER (WHERE e.state IN ('failed', 'cancelled', 'dead')) AS bad
        INTO ended FROM ended e;
        PERFORM set_config('heddle.tells', '', true);
        PERFORM ops.tell_runs(ended.runs, ended.projects, 'running', ended.states);
        IF ended.later IS NOT NULL THEN
            PERFORM ops.place_runs(ended.later);
        END IF;
        PERFORM ops.settle_dependents(ended.good, ended.bad);
        RETURN QUERY
        SELECT e.id, e.state FROM unnest(ended.runs, ended.states) AS e (id, state) WHERE e.state <> 'succeeded';
    END IF;
    IF cardinality(held.runs) = cardinality(runs) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT f.run, CASE WHEN r.id IS NULL THEN 'stale' ELSE 'again' END
    FROM unnest(runs, fences) AS f (run, fence)
    LEFT JOIN ops.runs r ON r.id = f.run AND r.fence = f.fence
    WHERE f.run <> ALL (COALESCE(held.runs, '{}'));
END $$;

CREATE OR REPLACE FUNCTION ops.cancel_run(run uuid, why text DEFAULT 'it was cancelled before it had started') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    found record;
    held  boolean;
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
        held := EXISTS (SELECT FROM ops.leases l WHERE l.run_id = run);
        SELECT r.* INTO found FROM ops.runs r WHERE r.id = run FOR UPDATE;
        -- It may have been moved meanwhile.
        EXIT WHEN NOT EXISTS (SELECT FROM ops.run_ready q
                              WHERE q.lane = found.lane AND q.turn = found.turn AND q.run_id = run);
    END LOOP;
    found.state := CASE WHEN held THEN 'running' ELSE found.state END;
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

CREATE OR REPLACE FUNCTION ops.retry_run(run uuid) RETURNS text
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
        RAISE EXCEPTION 'the run % is %: only a failed or cancelled one is tried again', run,
                        ops.state_of(run, found.state)
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

CREATE OR REPLACE FUNCTION ops.take_runs(
    runs uuid[], fences bigint[], states text[], reasons text[], hints text[], notes text[])
    RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    taken record;
    gone  record;
BEGIN
    WITH released AS (
        DELETE FROM ops.leases l
        WHERE l.run_id = ANY (runs) AND l.fence = fences[array_position(runs, l.run_id)]
        RETURNING l.run_id, l.attempt, l.claimed_at, l.progress
    )
    SELECT array_agg(l.run_id) AS runs, array_agg(l.attempt) AS attempts, array_agg(l.claimed_at) AS starts,
           array_agg(l.progress) AS progress
    INTO gone FROM released l;
    PERFORM set_config('heddle.tells', 'runs', true);
    WITH moved AS (
        UPDATE ops.runs r
        SET state = states[array_position(runs, r.id)], losses = r.losses + 1,
            attempts = gone.attempts[array_position(gone.runs, r.id)],
            started_at = CASE WHEN states[array_position(runs, r.id)] <> 'queued'
                              THEN gone.starts[array_position(gone.runs, r.id)] END,
            ended_at = CASE WHEN states[array_position(runs, r.id)] <> 'queued' THEN now() END,
            progress = CASE WHEN states[array_position(runs, r.id)] <> 'queued'
                            THEN gone.progress[array_position(gone.runs, r.id)] END,
            run_at = NULL, reason = reasons[array_position(runs, r.id)], hint = hints[array_position(runs, r.id)]
        WHERE r.id = ANY (gone.runs)
        RETURNING r.id, r.project_id, r.state
    )
    SELECT array_agg(m.id) AS runs, array_agg(m.project_id) AS projects, array_agg(m.state) AS states,
           array_agg(notes[array_position(runs, m.id)]) AS notes,
           array_agg(m.id) FILTER (WHERE m.state = 'queued') AS again,
           array_agg(m.id) FILTER (WHERE m.state <> 'queued') AS ended
    INTO taken FROM moved m;
    PERFORM set_config('heddle.tells', '', true);
    IF taken.runs IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM ops.tell_runs(taken.runs, taken.projects, 'running', taken.states);
    PERFORM ops.note_runs(taken.runs, 'warning', taken.notes);
    IF taken.again IS NOT NULL THEN
        PERFORM ops.place_runs(taken.again);
    END IF;
    PERFORM ops.settle_dependents(NULL, taken.ended);
    RETURN cardinality(taken.runs);
END $$;

CREATE OR REPLACE FUNCTION ops.ready_run(run uuid) RETURNS text
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
    RETURN ops.state_of(run, found.state);
END $$;

-- The run of a lease that is still held, locked with it until the transaction ends.
CREATE FUNCTION ops.hold_run(held uuid, under bigint)
    RETURNS TABLE (id uuid, kind text, tenant_id uuid, project_id uuid, build_id uuid, snapshot_id uuid,
                   restore_id uuid, started_at timestamptz, worker_id uuid, attempts integer, max_attempts integer,
                   cancel_requested boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.id, r.kind, r.tenant_id, r.project_id, r.build_id, r.snapshot_id, r.restore_id, l.claimed_at, l.worker_id,
           l.attempt, r.max_attempts, r.cancel_requested
    FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id
    WHERE l.run_id = held AND l.fence = under
      AND (ops.caller() <> 'heddle_worker' OR l.worker_id = ops.my_worker())
    FOR UPDATE OF l, r;
END $$;

-- Leases that a look is about: those since the mark, and those that have lasted.
CREATE FUNCTION ops.looked_at() RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' ROWS 100
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT l.run_id FROM ops.leases l WHERE l.lasting
    UNION ALL
    SELECT l.run_id FROM ops.leases l WHERE l.fence > (SELECT m.fence FROM ops.queue_marks m) AND NOT l.lasting;
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
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT l.run_id, l.fence,
           CASE WHEN of_worker IS NOT NULL OR l.expires_at < now() THEN 'expired'
                WHEN l.deadline_at < now() - grace THEN 'overdue'
                WHEN l.begun_at IS NULL THEN 'unbegun'
                ELSE 'silent' END,
           r.kind, COALESCE(w.name, 'unknown'), r.losses, l.attempt, r.max_attempts, l.deadline_at - l.claimed_at
    FROM ops.leases l JOIN ops.runs r ON r.id = l.run_id LEFT JOIN ops.workers w ON w.id = l.worker_id
    WHERE l.run_id = ANY (ARRAY(SELECT ops.looked_at()))
      AND CASE WHEN of_worker IS NOT NULL THEN l.worker_id = of_worker
               ELSE l.expires_at < now() OR l.deadline_at < now() - grace
                    OR (l.begun_at IS NULL AND l.claimed_at < now() - unbegun)
                    OR l.sign_at < now() - silent END
    LIMIT n
    FOR UPDATE OF l SKIP LOCKED;
END $$;

-- Once a second, by one at a time: runs whose time has come become claimable;
-- those that every turn has passed come to the front again; those past their
-- deadline are told to stop. Says how many of each.
CREATE FUNCTION ops.tend_queue(lease interval DEFAULT interval '10 seconds')
    RETURNS TABLE (due integer, passed integer, overdue integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    -- What was committed so much later than it was begun waits for the next look at all.
    late  constant interval := interval '20 seconds';
    every constant interval := interval '1 minute';
    marks record;
    moved uuid[];
    held  uuid[];
    left_behind boolean;
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

    -- Also where the clock was put back.
    SELECT m.fence, m.later_fence, m.later_turns, m.made_at NOT BETWEEN now() - late AND now() AS old,
           m.whole_at NOT BETWEEN now() - every AND now() AS whole,
           CASE WHEN m.whole_at BETWEEN now() - every AND now() THEN m.turns ELSE '{0,0,0,0}' END AS turns
    INTO marks FROM ops.queue_marks m;
    WITH gone AS (
        DELETE FROM ops.run_ready q WHERE q.ctid = ANY (ARRAY(
            SELECT r.ctid
            FROM (SELECT s.lane, s.turn, s.run_id, row_number() OVER (PARTITION BY s.project_id ORDER BY s.turn) AS nth
                  FROM (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS l (lane)
                  JOIN ops.run_ready s ON s.lane = l.lane AND s.turn >= marks.turns[l.lane + 1]
                                      AND s.turn < ops.turn_of(l.lane) - 1000) s
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

    IF marks.whole THEN
        UPDATE ops.leases l SET lasting = true WHERE l.fence <= marks.fence AND NOT l.lasting;
    END IF;
    held := ARRAY(SELECT ops.looked_at());
    -- The clock was put back: a lease does not live longer for it, whoever holds it extends it in time.
    UPDATE ops.leases l SET expires_at = now() + lease
    WHERE l.run_id = ANY (held) AND l.expires_at > now() + lease + interval '1 second';
    UPDATE ops.leases l SET stop = 'deadline' WHERE l.run_id = ANY (held) AND l.deadline_at < now() AND l.stop IS NULL;
    GET DIAGNOSTICS overdue = ROW_COUNT;

    IF marks.whole OR marks.old THEN
        IF marks.old THEN
            UPDATE ops.leases l SET lasting = true
            WHERE l.fence > marks.fence AND l.fence <= marks.later_fence AND NOT l.lasting;
        END IF;
        -- A mark does not pass those that were left for the next look.
        left_behind := EXISTS (
            SELECT FROM (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS l (lane)
            JOIN ops.run_ready s ON s.lane = l.lane AND s.turn >= marks.turns[l.lane + 1]
                                AND s.turn < marks.later_turns[l.lane + 1]);
        UPDATE ops.queue_marks
        SET turns = CASE WHEN left_behind THEN marks.turns WHEN marks.old THEN later_turns ELSE turns END,
            fence = CASE WHEN marks.old THEN later_fence ELSE fence END,
            later_fence = CASE WHEN marks.old THEN COALESCE(pg_sequence_last_value('ops.fences'), 0) ELSE later_fence END,
            later_turns = CASE WHEN marks.old THEN ARRAY(SELECT ops.turn_of(l.lane::smallint) - 1000
                                                         FROM generate_series(0, 3) AS l (lane) ORDER BY l.lane)
                               ELSE later_turns END,
            made_at = CASE WHEN marks.old THEN now() ELSE made_at END,
            whole_at = CASE WHEN marks.whole THEN now() ELSE whole_at END;
    END IF;
    RETURN NEXT;
END $$;

SELECT ops.secure_tables();
GRANT SELECT ON ops.queue_marks TO heddle_control;
REVOKE ALL ON FUNCTION ops.may_in, ops.tell_runs, ops.state_of, ops.note_runs, ops.queue_each, ops.hold_run, ops.looked_at,
    ops.lost_leases, ops.tend_queue FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.hold_run TO heddle_control, heddle_worker;
GRANT EXECUTE ON FUNCTION ops.lost_leases, ops.tend_queue TO heddle_control;

CREATE OR REPLACE VIEW ops.run_details WITH (security_invoker = true) AS
SELECT r.id, r.kind, CASE WHEN l.run_id IS NULL THEN r.state ELSE 'running' END AS state, r.project_id,
       p.name AS project, r.tenant_id, t.name AS tenant, r.build_id, r.snapshot_id, r.restore_id, r.payload, r.requester,
       r.request_hash, r.idempotency_key, COALESCE(l.attempt, r.attempts) AS attempts, r.losses,
       COALESCE(l.fence, r.fence) AS fence, r.cancel_requested, r.reason, r.hint,
       COALESCE(l.progress, r.progress) AS progress, r.queued_at, COALESCE(l.claimed_at, r.started_at) AS started_at,
       r.ended_at, r.environment_id, e.name AS environment, r.sha, r.ref, r.metadata, r.priority, r.approval,
       r.max_attempts, r.run_at, r.labels, r.filed
FROM ops.runs r
LEFT JOIN ops.leases l ON l.run_id = r.id
JOIN ops.projects p ON p.id = r.project_id
LEFT JOIN ops.tenants t ON t.id = r.tenant_id
LEFT JOIN ops.environments e ON e.id = r.environment_id;

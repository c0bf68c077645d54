-- Policies say which acts need whose approval; approvals are asked for, decided
-- and kept here. Environments end.

-- In the name of whom the present transaction acts, as `runs.requester` has it.
CREATE FUNCTION ops.requester() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN ops.claim('key') IS NOT NULL THEN 'key:' || ops.claim('key')
        WHEN ops.claim('user') IS NOT NULL THEN 'user:' || ops.claim('user')
        WHEN ops.claim('worker') IS NOT NULL THEN 'worker:' || ops.claim('worker')
        ELSE 'platform'
    END;

-- What people call a requester: a login, or the name of a key that is nobody's.
-- Whoever was shown the id may know it.
CREATE FUNCTION ops.name_of(requester text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    RETURN CASE split_part(requester, ':', 1)
        WHEN 'user' THEN (SELECT u.login FROM ops.users u WHERE u.id = split_part(requester, ':', 2)::uuid)
        WHEN 'key' THEN (SELECT COALESCE(u.login, k.name)
                         FROM ops.api_keys k LEFT JOIN ops.users u ON u.id = k.user_id
                         WHERE k.id = split_part(requester, ':', 2)::uuid)
    END;
REVOKE ALL ON FUNCTION ops.name_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.name_of(text) TO heddle_control, heddle_user;

-- An environment that was destroyed is kept for what refers to it. Its name is
-- free again, and so is its project's place for a production.
ALTER TABLE ops.environments ADD archived_at timestamptz;
ALTER TABLE ops.environments DROP CONSTRAINT environments_project_id_name_key;
CREATE UNIQUE INDEX environments_one_name ON ops.environments (project_id, name) WHERE archived_at IS NULL;
DROP INDEX ops.environments_one_production;
CREATE UNIQUE INDEX environments_one_production ON ops.environments (project_id)
    WHERE stage = 'production' AND archived_at IS NULL;
ALTER TABLE ops.environments ADD UNIQUE (project_id, id);
ALTER TABLE ops.tenants ADD UNIQUE (environment_id, id);
GRANT UPDATE (archived_at) ON ops.environments TO heddle_control, heddle_user;

-- A tenant is never made in one that has ended. The lock makes the two wait for each other.
CREATE FUNCTION ops.tenant_has_environment() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM ops.environments e WHERE e.id = NEW.environment_id AND e.archived_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the environment was destroyed' USING ERRCODE = 'HD002', HINT = 'create another one';
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION ops.tenant_has_environment() FROM PUBLIC;
-- After the policies: to others it says nothing.
CREATE TRIGGER has_environment AFTER INSERT ON ops.tenants
    FOR EACH ROW EXECUTE FUNCTION ops.tenant_has_environment();

CREATE TABLE ops.policies (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES ops.projects,
    act            text NOT NULL CONSTRAINT policies_act_written
                   CHECK (act IN ('restore', 'snapshot', 'provision', 'archive_tenant', 'destroy_environment',
                                  'set_secret', 'change_policy')),
    -- Where it holds: in one environment, in those of a stage, or everywhere.
    environment_id uuid,
    stage          text CONSTRAINT policies_stage_written
                   CHECK (stage IN ('production', 'staging', 'development')),
    -- How many different people must approve; 0: nobody, whatever a wider policy says.
    approvals      integer NOT NULL CHECK (approvals BETWEEN 0 AND 10),
    -- In which roles of the project those people are.
    roles          text[] NOT NULL DEFAULT ARRAY['owner', 'admin'] CONSTRAINT policies_roles_written
                   CHECK (cardinality(roles) > 0
                          AND roles <@ ARRAY['owner', 'admin', 'developer', 'tester', 'viewer']),
    -- Seconds after which what was asked and not decided ends.
    expires_after  integer NOT NULL DEFAULT 86400 CHECK (expires_after BETWEEN 60 AND 2592000),
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT policies_one_place CHECK (num_nonnulls(environment_id, stage) <= 1),
    CONSTRAINT policies_one_an_act UNIQUE NULLS NOT DISTINCT (project_id, act, environment_id, stage),
    FOREIGN KEY (project_id, environment_id) REFERENCES ops.environments (project_id, id)
);

CREATE INDEX policies_environment ON ops.policies (environment_id);

CREATE TABLE ops.approvals (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES ops.projects,
    environment_id uuid,
    act            text NOT NULL CONSTRAINT approvals_act_written
                   CHECK (act IN ('restore', 'snapshot', 'provision', 'archive_tenant', 'destroy_environment',
                                  'set_secret', 'change_policy')),
    -- The run that waits for it. An act without a run is asked for again once it is granted.
    run_id         uuid REFERENCES ops.runs,
    -- What exactly: granted for one thing, it is no grant for another.
    subject        text NOT NULL CHECK (length(subject) <= 500),
    -- The same for people.
    summary        text NOT NULL CHECK (length(summary) <= 500),
    state          text NOT NULL CONSTRAINT approvals_state_written
                   CHECK (state IN ('pending', 'granted', 'refused', 'expired', 'withdrawn')),
    -- As the policy had it then.
    needed         integer NOT NULL CHECK (needed BETWEEN 1 AND 10),
    roles          text[] NOT NULL,
    requester      text NOT NULL,
    -- The person behind the requester, if it is one.
    requester_id   uuid REFERENCES ops.users,
    asked_at       timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    decided_at     timestamptz,
    -- When what it allows was done, or its run was told.
    settled_at     timestamptz,
    CONSTRAINT approvals_decided_since CHECK ((state = 'pending') = (decided_at IS NULL)),
    CONSTRAINT approvals_settled_is_decided CHECK (settled_at IS NULL OR state <> 'pending'),
    CONSTRAINT approvals_expire_later CHECK (expires_at > asked_at),
    FOREIGN KEY (project_id, environment_id) REFERENCES ops.environments (project_id, id)
);

CREATE INDEX approvals_project ON ops.approvals (project_id, id);
CREATE INDEX approvals_environment ON ops.approvals (environment_id);
CREATE INDEX approvals_requester ON ops.approvals (requester_id);
CREATE INDEX approvals_open ON ops.approvals (expires_at) WHERE state = 'pending';
CREATE INDEX approvals_unsettled ON ops.approvals (id) WHERE settled_at IS NULL AND state <> 'pending';
CREATE INDEX approvals_run ON ops.approvals (run_id);
-- A run waits for one at a time.
CREATE UNIQUE INDEX approvals_one_a_run ON ops.approvals (run_id) WHERE state = 'pending';
-- Of one thing somebody asks for once at a time.
CREATE UNIQUE INDEX approvals_one_open ON ops.approvals (requester, act, subject)
    WHERE state = 'pending' AND run_id IS NULL;

CREATE TABLE ops.approval_decisions (
    approval_id uuid NOT NULL REFERENCES ops.approvals,
    user_id     uuid NOT NULL REFERENCES ops.users,
    decision    text NOT NULL CONSTRAINT approval_decisions_decision_written
                CHECK (decision IN ('approve', 'refuse')),
    note        text CHECK (length(note) BETWEEN 1 AND 1000),
    -- Through a session of theirs, or a key.
    through     text NOT NULL,
    decided_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (approval_id, user_id)
);

CREATE INDEX approval_decisions_user ON ops.approval_decisions (user_id);

-- What was decided stays as it was decided, whoever tries.
CREATE FUNCTION ops.approval_stays() RETURNS trigger
    LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    moving text[] := ARRAY['state', 'decided_at', 'settled_at'];
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'approvals' THEN
        IF OLD.state <> 'pending' THEN
            moving := CASE WHEN OLD.settled_at IS NULL THEN ARRAY['settled_at'] ELSE ARRAY[]::text[] END;
        END IF;
        IF to_jsonb(NEW) - moving = to_jsonb(OLD) - moving THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'what was asked and decided is not changed' USING ERRCODE = 'HD002';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON ops.approvals
    FOR EACH ROW EXECUTE FUNCTION ops.approval_stays();
CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ops.approvals
    FOR EACH STATEMENT EXECUTE FUNCTION ops.approval_stays();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON ops.approval_decisions
    FOR EACH ROW EXECUTE FUNCTION ops.approval_stays();
CREATE TRIGGER stays_whole BEFORE TRUNCATE ON ops.approval_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION ops.approval_stays();

-- The functions below are the owner's.

-- The person behind a requester: a key acts for its user, or for nobody.
CREATE FUNCTION ops.person_of(requester text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    RETURN CASE split_part(requester, ':', 1)
        WHEN 'user' THEN split_part(requester, ':', 2)::uuid
        WHEN 'key' THEN (SELECT k.user_id FROM ops.api_keys k WHERE k.id = split_part(requester, ':', 2)::uuid)
    END;

-- What an act in an environment takes: the policy nearest to it, if that asks
-- for anybody.
CREATE FUNCTION ops.policy_for(wanted text, project uuid, environment uuid) RETURNS SETOF ops.policies
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' ROWS 1
BEGIN ATOMIC
    SELECT nearest.*
    FROM (SELECT p.* FROM ops.policies p
          WHERE p.project_id = project AND p.act = wanted
            AND (p.environment_id IS NULL OR p.environment_id = environment)
            AND (p.stage IS NULL OR p.stage = (SELECT e.stage FROM ops.environments e WHERE e.id = environment))
          ORDER BY p.environment_id IS NULL, p.stage IS NULL
          LIMIT 1) AS nearest
    WHERE nearest.approvals > 0;
END;

-- What the queue asks of each run. Control's own follow from what somebody was
-- allowed to ask for.
CREATE OR REPLACE FUNCTION ops.approval_of(of_kind text, project uuid, environment uuid, requester text) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE WHEN requester <> 'platform' AND EXISTS (SELECT FROM ops.policy_for(of_kind, project, environment))
                THEN 'pending' ELSE 'none' END;

-- Who may still approve: their logins.
CREATE FUNCTION ops.deciders(asked uuid) RETURNS text[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT array_agg(u.login ORDER BY u.login)
    FROM ops.approvals a
    JOIN ops.project_members m ON m.project_id = a.project_id AND m.role = ANY (a.roles)
    JOIN ops.users u ON u.id = m.user_id
    WHERE a.id = asked AND u.disabled_at IS NULL AND u.id IS DISTINCT FROM a.requester_id
      AND (ops.is_platform() OR a.project_id IN (SELECT ops.my_projects()))
      AND NOT EXISTS (SELECT FROM ops.approval_decisions d WHERE d.approval_id = a.id AND d.user_id = u.id);
END;

-- A run that waits for an approval has asked for one, and says so.
CREATE FUNCTION ops.run_asks_approval() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    it     ops.approvals;
    people text;
BEGIN
    INSERT INTO ops.approvals (id, project_id, environment_id, act, run_id, subject, summary, state, needed, roles,
                               requester, requester_id, expires_at)
    SELECT gen_random_uuid(), NEW.project_id, NEW.environment_id, NEW.kind, NEW.id, NEW.id::text,
           CASE NEW.kind WHEN 'restore' THEN 'restore ' WHEN 'snapshot' THEN 'take a snapshot of '
                         ELSE 'create the tenant ' END || t.name,
           -- The policy may have been taken away since it was asked.
           'pending', COALESCE(p.approvals, 1), COALESCE(p.roles, ARRAY['owner', 'admin']), NEW.requester,
           ops.person_of(NEW.requester), now() + make_interval(secs => COALESCE(p.expires_after, 86400))
    FROM ops.tenants t LEFT JOIN ops.policy_for(NEW.kind, NEW.project_id, NEW.environment_id) p ON true
    WHERE t.id = NEW.tenant_id
    RETURNING * INTO it;
    SELECT string_agg(u.login, ', ' ORDER BY u.login) INTO people
    FROM ops.project_members m JOIN ops.users u ON u.id = m.user_id
    WHERE m.project_id = it.project_id AND m.role = ANY (it.roles) AND u.disabled_at IS NULL
      AND u.id IS DISTINCT FROM it.requester_id;
    PERFORM ops.note_runs(ARRAY[NEW.id], 'info', ARRAY[format('waits for %s of %s (%s) until %s UTC',
        CASE it.needed WHEN 1 THEN 'one approval' ELSE it.needed || ' approvals' END,
        array_to_string(it.roles, ' or '), COALESCE(people, 'nobody else is in that role yet'),
        to_char(it.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'))]);
    RETURN NULL;
END $$;
CREATE TRIGGER asks_approval AFTER INSERT ON ops.runs
    FOR EACH ROW WHEN (NEW.approval = 'pending') EXECUTE FUNCTION ops.run_asks_approval();
CREATE TRIGGER asks_approval_again AFTER UPDATE OF state ON ops.runs
    FOR EACH ROW WHEN (NEW.approval = 'pending' AND NEW.state = 'waiting' AND OLD.state <> 'waiting')
    EXECUTE FUNCTION ops.run_asks_approval();

-- A run that ends before it was decided on needs no decision any more.
CREATE FUNCTION ops.run_withdraws_approval() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE ops.approvals a SET state = 'withdrawn', decided_at = now(), settled_at = now()
    WHERE a.run_id = NEW.id AND a.state = 'pending';
    RETURN NULL;
END $$;
CREATE TRIGGER withdraws_approval AFTER UPDATE OF state ON ops.runs
    FOR EACH ROW WHEN (OLD.state = 'waiting' AND OLD.approval = 'pending' AND NEW.state <> 'waiting')
    EXECUTE FUNCTION ops.run_withdraws_approval();

-- For acts without a run, in the name of whom the claims say: whether it may be
-- done. `granted`: use_approval, and do it. `pending`: it was asked for, now or
-- before. `none`: no policy asks for anybody.
CREATE FUNCTION ops.ask_approval(wanted text, project uuid, environment uuid, what text, summary text)
    RETURNS TABLE (approval uuid, state text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    policy ops.policies;
    found  uuid;
BEGIN
    IF ops.is_platform() THEN
        RETURN QUERY SELECT NULL::uuid, 'none';
        RETURN;
    END IF;
    IF ask_approval.project NOT IN (SELECT ops.my_projects()) THEN
        RAISE EXCEPTION 'there is no such project' USING ERRCODE = 'HD001';
    END IF;
    SELECT * INTO policy FROM ops.policy_for(ask_approval.wanted, ask_approval.project, ask_approval.environment);
    IF policy.id IS NULL THEN
        RETURN QUERY SELECT NULL::uuid, 'none';
        RETURN;
    END IF;
    SELECT a.id INTO found FROM ops.approvals a
    WHERE a.requester = ops.requester() AND a.act = ask_approval.wanted AND a.subject = ask_approval.what
      AND a.run_id IS NULL AND a.state = 'granted' AND a.settled_at IS NULL AND a.expires_at > now()
    ORDER BY a.id LIMIT 1;
    IF found IS NOT NULL THEN
        RETURN QUERY SELECT found, 'granted';
        RETURN;
    END IF;
    -- One that nobody decided on in time does not stand in the way of a new one.
    UPDATE ops.approvals a SET state = 'expired', decided_at = now(), settled_at = now()
    WHERE a.requester = ops.requester() AND a.act = ask_approval.wanted AND a.subject = ask_approval.what
      AND a.run_id IS NULL AND a.state = 'pending' AND a.expires_at <= now();
    INSERT INTO ops.approvals AS a (id, project_id, environment_id, act, subject, summary, state, needed, roles,
                                    requester, requester_id, expires_at)
    VALUES (gen_random_uuid(), ask_approval.project, ask_approval.environment, ask_approval.wanted,
            ask_approval.what, ask_approval.summary, 'pending', policy.approvals, policy.roles, ops.requester(),
            ops.person_of(ops.requester()), now() + make_interval(secs => policy.expires_after))
    ON CONFLICT (requester, act, subject) WHERE state = 'pending' AND run_id IS NULL DO NOTHING
    RETURNING a.id INTO found;
    IF found IS NULL THEN
        SELECT a.id INTO found FROM ops.approvals a
        WHERE a.requester = ops.requester() AND a.act = ask_approval.wanted AND a.subject = ask_approval.what
          AND a.run_id IS NULL AND a.state = 'pending';
    END IF;
    RETURN QUERY SELECT found, 'pending';
END $$;

-- Once, and in the transaction that does what it allows.
CREATE FUNCTION ops.use_approval(granted uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE ops.approvals a SET settled_at = now()
    WHERE a.id = granted AND a.requester = ops.requester() AND a.run_id IS NULL
      AND a.state = 'granted' AND a.settled_at IS NULL AND a.expires_at > now();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the approval was used already, or has expired' USING ERRCODE = 'HD002', HINT = 'ask again';
    END IF;
END $$;

-- Approves or refuses in the name of whom the claims say: a person in one of
-- the policy's roles, and not who asked. Answers with the approval's state.
CREATE FUNCTION ops.decide_approval(asked uuid, decision text, note text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    it   ops.approvals;
    me   ops.acting;
    came text;
BEGIN
    SELECT * INTO it FROM ops.approvals a
    WHERE a.id = asked AND a.project_id IN (SELECT ops.my_projects())
    FOR UPDATE;
    IF it.id IS NULL THEN
        RAISE EXCEPTION 'there is no approval %', asked
            USING ERRCODE = 'HD001', HINT = '`heddle approval list` shows them';
    END IF;
    SELECT * INTO me FROM ops.acting a;
    IF me.user_id IS NULL THEN
        RAISE EXCEPTION 'an approval is a person''s, and this key is the installation''s own'
            USING ERRCODE = 'HD003', HINT = 'sign in, or use an API key of your own: `heddle login` makes one';
    END IF;
    IF it.requester_id = me.user_id THEN
        RAISE EXCEPTION 'nobody decides on what they have asked for themselves'
            USING ERRCODE = 'HD003', HINT = 'somebody else decides; to give it up, cancel its run';
    END IF;
    -- Operators stand in for every role.
    IF NOT me.operator AND NOT EXISTS (
        SELECT FROM ops.project_members m
        WHERE m.project_id = it.project_id AND m.user_id = me.user_id AND m.role = ANY (it.roles)) THEN
        RAISE EXCEPTION 'this takes the role %', array_to_string(it.roles, ' or ')
            USING ERRCODE = 'HD003', HINT = '`heddle approval show` names who may decide';
    END IF;
    IF NOT 'operate' = ANY (me.scopes) THEN
        RAISE EXCEPTION 'this API key may not decide on approvals'
            USING ERRCODE = 'HD003', HINT = 'use one with the scope operate, or sign in';
    END IF;
    IF it.state <> 'pending' OR it.expires_at <= now() THEN
        RAISE EXCEPTION 'it is % already', CASE it.state WHEN 'pending' THEN 'expired' ELSE it.state END
            USING ERRCODE = 'HD002';
    END IF;
    INSERT INTO ops.approval_decisions (approval_id, user_id, decision, note, through)
    VALUES (it.id, me.user_id, decide_approval.decision, NULLIF(btrim(decide_approval.note), ''), ops.requester())
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'you have approved it already' USING ERRCODE = 'HD002', HINT = 'it takes another person now';
    END IF;
    IF decide_approval.decision = 'refuse' THEN
        came := 'refused';
    ELSIF (SELECT count(*) FROM ops.approval_decisions d WHERE d.approval_id = it.id) >= it.needed THEN
        came := 'granted';
    ELSE
        RETURN 'pending';
    END IF;
    UPDATE ops.approvals a SET state = came, decided_at = now(),
        -- No run waits to be told, and nothing is to be done with it.
        settled_at = CASE WHEN it.run_id IS NULL AND came = 'refused' THEN now() END
    WHERE a.id = it.id;
    RETURN came;
END $$;

-- Control's own: what was not decided in time. How many.
CREATE FUNCTION ops.expire_approvals() RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH expired AS (
        UPDATE ops.approvals a
        SET state = 'expired', decided_at = now(), settled_at = CASE WHEN a.run_id IS NULL THEN now() END
        WHERE a.state = 'pending' AND a.expires_at <= now()
        RETURNING a.id
    )
    SELECT count(*) FROM expired;
END;

-- Control's own: tells the run of a decided approval, once. A granted one goes
-- on, another one ends, with the reason that is answered. No row: it was told.
CREATE FUNCTION ops.settle_approval(decided uuid) RETURNS TABLE (run uuid, state text, reason text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    it  ops.approvals;
    why text;
BEGIN
    UPDATE ops.approvals a SET settled_at = now()
    WHERE a.id = decided AND a.settled_at IS NULL AND a.state <> 'pending' AND a.run_id IS NOT NULL
    RETURNING * INTO it;
    IF it.id IS NULL THEN
        RETURN;
    END IF;
    UPDATE ops.runs r SET approval = CASE it.state WHEN 'granted' THEN 'granted' ELSE 'refused' END
    WHERE r.id = it.run_id AND r.approval = 'pending' AND r.state = 'waiting';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT string_agg(u.login || COALESCE(': ' || d.note, ''), '; ' ORDER BY d.decided_at) INTO why
    FROM ops.approval_decisions d JOIN ops.users u ON u.id = d.user_id
    WHERE d.approval_id = it.id AND d.decision = CASE it.state WHEN 'refused' THEN 'refuse' ELSE 'approve' END;
    IF it.state = 'granted' THEN
        why := 'approved by ' || why;
        PERFORM ops.note_runs(ARRAY[it.run_id], 'info', ARRAY[left(why, 8192)]);
        PERFORM ops.ready_run(it.run_id);
    ELSE
        why := left(CASE it.state WHEN 'refused' THEN 'refused by ' || why ELSE 'nobody approved it in time' END, 2000);
        PERFORM ops.note_runs(ARRAY[it.run_id], 'warning', ARRAY[why]);
        PERFORM ops.cancel_run(it.run_id, why);
    END IF;
    RETURN QUERY SELECT it.run_id, it.state, why;
END $$;

REVOKE ALL ON FUNCTION ops.person_of(text), ops.policy_for(text, uuid, uuid), ops.deciders(uuid),
    ops.approval_of(text, uuid, uuid, text), ops.run_asks_approval(), ops.run_withdraws_approval(),
    ops.ask_approval(text, uuid, uuid, text, text), ops.use_approval(uuid), ops.decide_approval(uuid, text, text),
    ops.expire_approvals(), ops.settle_approval(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.deciders(uuid), ops.ask_approval(text, uuid, uuid, text, text), ops.use_approval(uuid),
    ops.decide_approval(uuid, text, text) TO heddle_control, heddle_user;
GRANT EXECUTE ON FUNCTION ops.expire_approvals(), ops.settle_approval(uuid) TO heddle_control;

SELECT ops.secure_tables();

GRANT SELECT, INSERT, UPDATE (approvals, roles, expires_after, version), DELETE ON ops.policies
    TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.policies FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY made ON ops.policies FOR INSERT TO heddle_user
    WITH CHECK (project_id IN (SELECT ops.my_projects('administer')));
CREATE POLICY changed ON ops.policies FOR UPDATE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer')));
CREATE POLICY removed ON ops.policies FOR DELETE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer')));

-- Written by the functions above alone.
GRANT SELECT ON ops.approvals, ops.approval_decisions TO heddle_control, heddle_user;
CREATE POLICY seen ON ops.approvals FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()));
CREATE POLICY seen ON ops.approval_decisions FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.approvals a WHERE a.id = approval_id));

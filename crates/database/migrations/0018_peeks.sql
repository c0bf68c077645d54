-- Peeks: a tenant's state at some point, for reading, for a while.

CREATE TABLE ops.peeks (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES ops.tenants,
    state       text NOT NULL CONSTRAINT peeks_state_written
                CHECK (state IN ('opening', 'open', 'ending', 'ended', 'failed')),
    -- Which makes it. Queued in the same transaction, and never removed.
    run_id      uuid NOT NULL,
    -- What it shows; none of them: the newest state.
    snapshot_id uuid,
    at          timestamptz,
    lsn         pg_lsn,
    -- How long it lasts from when it is open.
    seconds     integer NOT NULL CHECK (seconds BETWEEN 10 AND 86400),
    -- Where it is: on this worker's host, on its loopback.
    worker_id   uuid REFERENCES ops.workers,
    port        integer CHECK (port BETWEEN 1 AND 65535),
    -- Why it ends, or has failed.
    reason      text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    opened_at   timestamptz,
    expires_at  timestamptz,
    ended_at    timestamptz,
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES ops.snapshots (tenant_id, id),
    CONSTRAINT peeks_one_target CHECK (num_nonnulls(snapshot_id, at, lsn) <= 1),
    CONSTRAINT peeks_opened_somewhere CHECK (
        (state IN ('open', 'ending', 'ended')) = (opened_at IS NOT NULL)
        AND num_nulls(worker_id, port, opened_at, expires_at) IN (0, 4)),
    CONSTRAINT peeks_end_with_reason CHECK ((state IN ('ending', 'ended', 'failed')) = (reason IS NOT NULL)),
    CONSTRAINT peeks_ended_since CHECK ((state IN ('ended', 'failed')) = (ended_at IS NOT NULL))
);

CREATE INDEX peeks_tenant ON ops.peeks (tenant_id, id);
CREATE INDEX peeks_run ON ops.peeks (run_id);
CREATE INDEX peeks_snapshot ON ops.peeks (snapshot_id);
CREATE INDEX peeks_worker ON ops.peeks (worker_id) WHERE state IN ('open', 'ending');
CREATE INDEX peeks_expiry ON ops.peeks (expires_at) WHERE state = 'open';

SELECT ops.secure_tables();
GRANT SELECT ON ops.peeks TO heddle_control, heddle_user, heddle_worker;
GRANT INSERT ON ops.peeks TO heddle_control, heddle_user;
GRANT UPDATE (state, worker_id, port, reason, opened_at, expires_at, ended_at) ON ops.peeks
    TO heddle_control, heddle_worker;
GRANT UPDATE (state, reason, ended_at) ON ops.peeks TO heddle_user;
-- Whoever sees the tenant sees that it was looked into. Opening one shows all
-- that its database holds, so it takes more than a snapshot or a restore, which
-- show nothing.
CREATE POLICY seen ON ops.peeks FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id));
CREATE POLICY made ON ops.peeks FOR INSERT TO heddle_user
    WITH CHECK (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id
        AND t.environment_id IN (SELECT ops.my_environments('develop'))));
CREATE POLICY changed ON ops.peeks FOR UPDATE TO heddle_user
    USING (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id
        AND t.environment_id IN (SELECT ops.my_environments('develop'))));
CREATE POLICY worked ON ops.peeks FOR SELECT TO heddle_worker
    USING (worker_id = (SELECT ops.my_worker()) OR tenant_id IN (SELECT ops.my_tenants()));
CREATE POLICY reported ON ops.peeks FOR UPDATE TO heddle_worker
    USING (worker_id = (SELECT ops.my_worker()) OR tenant_id IN (SELECT ops.held_tenants()));

CREATE VIEW ops.peek_details WITH (security_invoker = true) AS
SELECT p.id, p.tenant_id, t.name AS tenant, t.database, p.state, p.run_id, p.snapshot_id, s.name AS snapshot, p.at, p.lsn,
       p.seconds, p.worker_id, w.name AS worker, p.port, p.reason, p.created_at, p.opened_at, p.expires_at, p.ended_at
FROM ops.peeks p
JOIN ops.tenants t ON t.id = p.tenant_id
LEFT JOIN ops.snapshots s ON s.id = p.snapshot_id
LEFT JOIN ops.workers w ON w.id = p.worker_id;
GRANT SELECT ON ops.peek_details TO heddle_control, heddle_user, heddle_worker;

-- One more kind of run, and of what a policy can ask approvals for.
ALTER TABLE ops.run_kinds
    DROP CONSTRAINT run_kinds_kind_written,
    ADD CONSTRAINT run_kinds_kind_written
        CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore', 'peek', 'expire',
                        'shred', 'probe'));
ALTER TABLE ops.runs
    DROP CONSTRAINT runs_kind_written,
    ADD CONSTRAINT runs_kind_written
        CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore', 'peek', 'expire',
                        'shred', 'probe'));
INSERT INTO ops.run_kinds (kind, worker, permission, priority, deadline, max_attempts, alone) VALUES
    ('peek', 'deploy', 'develop', 'normal', '6 hours', 1, false);

ALTER TABLE ops.policies
    DROP CONSTRAINT policies_act_written,
    ADD CONSTRAINT policies_act_written
        CHECK (act IN ('restore', 'snapshot', 'provision', 'peek', 'archive_tenant', 'shred_tenant',
                       'destroy_environment', 'set_secret', 'change_policy'));
ALTER TABLE ops.approvals
    DROP CONSTRAINT approvals_act_written,
    ADD CONSTRAINT approvals_act_written
        CHECK (act IN ('restore', 'snapshot', 'provision', 'peek', 'archive_tenant', 'shred_tenant',
                       'destroy_environment', 'set_secret', 'change_policy'));

-- It reads the repository, beside what else is done with its tenant: its lease
-- keeps nothing else of the tenant waiting.
CREATE FUNCTION ops.goes_beside() RETURNS trigger
    LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    NEW.tenant_id := NULL;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION ops.goes_beside() FROM PUBLIC;
CREATE TRIGGER goes_beside BEFORE INSERT ON ops.run_ready
    FOR EACH ROW WHEN (NEW.kind = 'peek') EXECUTE FUNCTION ops.goes_beside();

SELECT ops.audit_tables();

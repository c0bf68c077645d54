-- The queue: runs, the leases they are held under, and what they said.

-- Never turned back: a higher fence is a later lease, whichever the run.
CREATE SEQUENCE ops.fences AS bigint NO CYCLE;

CREATE TABLE ops.runs (
    id               uuid PRIMARY KEY,
    kind             text NOT NULL CONSTRAINT runs_kind_written
                     CHECK (kind IN ('build', 'provision', 'backup', 'snapshot', 'plan_restore', 'restore',
                                     'expire')),
    state            text NOT NULL CONSTRAINT runs_state_written
                     CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    project_id       uuid NOT NULL REFERENCES ops.projects,
    tenant_id        uuid REFERENCES ops.tenants,
    build_id         uuid REFERENCES ops.builds,
    snapshot_id      uuid REFERENCES ops.snapshots,
    restore_id       uuid REFERENCES ops.restores,
    -- What only this run knows; emptied when it has succeeded.
    payload          jsonb NOT NULL DEFAULT '{}',
    -- `user:<id>`, `key:<id>` or `platform`.
    requester        text NOT NULL,
    idempotency_key  text CHECK (idempotency_key <> ''),
    -- SHA-256 of what was asked for under the key.
    request_hash     bytea,
    -- How often it was claimed, and how often its worker was then lost.
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    losses           integer NOT NULL DEFAULT 0 CHECK (losses >= 0),
    -- Of the last lease.
    fence            bigint,
    cancel_requested boolean NOT NULL DEFAULT false,
    reason           text,
    hint             text,
    progress         double precision CHECK (progress BETWEEN 0 AND 1),
    queued_at        timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    ended_at         timestamptz,
    -- What nobody waits for is claimed after what somebody waits for.
    background       boolean NOT NULL GENERATED ALWAYS AS (kind IN ('backup', 'expire')) STORED,
    CONSTRAINT runs_idempotency UNIQUE (requester, idempotency_key),
    CONSTRAINT runs_key_has_hash CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)),
    CONSTRAINT runs_build_has_build CHECK ((kind = 'build') = (build_id IS NOT NULL)),
    CONSTRAINT runs_others_have_tenant CHECK ((kind <> 'build') = (tenant_id IS NOT NULL)),
    CONSTRAINT runs_snapshot_has_snapshot CHECK ((kind = 'snapshot') = (snapshot_id IS NOT NULL)),
    CONSTRAINT runs_restore_has_restore
        CHECK ((kind IN ('plan_restore', 'restore')) = (restore_id IS NOT NULL)),
    CONSTRAINT runs_queued_not_started CHECK (state <> 'queued' OR started_at IS NULL),
    CONSTRAINT runs_running_since
        CHECK (state <> 'running' OR (started_at IS NOT NULL AND fence IS NOT NULL AND attempts > 0)),
    CONSTRAINT runs_ended_since
        CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
    CONSTRAINT runs_failed_has_reason CHECK (state <> 'failed' OR reason IS NOT NULL),
    CONSTRAINT runs_succeeded_has_none CHECK (state <> 'succeeded' OR (reason IS NULL AND started_at IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);

CREATE INDEX runs_queue ON ops.runs (background, queued_at, id) WHERE state = 'queued';
CREATE INDEX runs_state ON ops.runs (state, id);
CREATE INDEX runs_tenant ON ops.runs (tenant_id, id);
CREATE INDEX runs_build ON ops.runs (build_id) WHERE build_id IS NOT NULL;
CREATE INDEX runs_snapshot ON ops.runs (snapshot_id) WHERE snapshot_id IS NOT NULL;
CREATE INDEX runs_restore ON ops.runs (restore_id, id) WHERE restore_id IS NOT NULL;
-- Of these a tenant has one at a time.
CREATE UNIQUE INDEX runs_one_live ON ops.runs (tenant_id, kind)
    WHERE state IN ('queued', 'running') AND kind IN ('provision', 'backup', 'restore', 'expire');

-- A running run has a lease, and only a running one. Kept narrow, without an
-- index on what each heartbeat changes.
CREATE TABLE ops.leases (
    run_id     uuid PRIMARY KEY REFERENCES ops.runs,
    -- Two runs never act on one tenant at once.
    tenant_id  uuid CONSTRAINT leases_one_a_tenant UNIQUE,
    worker_id  uuid NOT NULL REFERENCES ops.workers,
    fence      bigint NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 100);

CREATE INDEX leases_worker ON ops.leases (worker_id);

-- Append-only.
CREATE TABLE ops.run_events (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   uuid NOT NULL REFERENCES ops.runs,
    at       timestamptz NOT NULL,
    level    text NOT NULL CONSTRAINT run_events_level_written
             CHECK (level IN ('debug', 'info', 'warning', 'error')),
    message  text NOT NULL CHECK (length(message) <= 8192),
    progress double precision CHECK (progress BETWEEN 0 AND 1)
);

CREATE INDEX run_events_run ON ops.run_events (run_id, id);

GRANT USAGE ON SEQUENCE ops.fences TO heddle_control;
GRANT SELECT, INSERT ON ops.runs TO heddle_control;
GRANT UPDATE (state, payload, attempts, losses, fence, cancel_requested, reason, hint, progress, queued_at,
              started_at, ended_at) ON ops.runs TO heddle_control;
GRANT SELECT, INSERT, UPDATE (expires_at), DELETE ON ops.leases TO heddle_control;
GRANT SELECT, INSERT ON ops.run_events TO heddle_control;

-- What is durable of tenants' histories, and giving them back.

CREATE TABLE ops.base_backups (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    lineage_id uuid NOT NULL,
    start_lsn  pg_lsn NOT NULL,
    stop_lsn   pg_lsn NOT NULL,
    stopped_at timestamptz NOT NULL,
    -- Bytes of the data directory, and of what is stored.
    size       bigint NOT NULL CHECK (size >= 0),
    stored     bigint NOT NULL CHECK (stored >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, lineage_id) REFERENCES ops.lineages (tenant_id, id),
    CONSTRAINT base_backups_in_order CHECK (start_lsn <= stop_lsn)
);

CREATE INDEX base_backups_tenant ON ops.base_backups (tenant_id, stopped_at);
CREATE INDEX base_backups_lineage ON ops.base_backups (lineage_id, stopped_at);

CREATE TABLE ops.snapshots (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES ops.tenants,
    name          text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    state         text NOT NULL CONSTRAINT snapshots_state_written
                  CHECK (state IN ('creating', 'ready', 'restoring', 'failed', 'expired')),
    kind          text NOT NULL CONSTRAINT snapshots_kind_written CHECK (kind IN ('auto', 'manual', 'pre_ai')),
    lineage_id    uuid,
    lsn           pg_lsn,
    wal_file      text,
    backup_id     uuid,
    -- Bytes; a 32-bit number would end at 2 GiB.
    size          bigint CHECK (size >= 0),
    missing_files bigint CHECK (missing_files >= 0),
    taken_at      timestamptz,
    expires_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, lineage_id) REFERENCES ops.lineages (tenant_id, id),
    FOREIGN KEY (tenant_id, backup_id) REFERENCES ops.base_backups (tenant_id, id),
    CONSTRAINT snapshots_ready_is_proven CHECK (
        state NOT IN ('ready', 'restoring')
        OR (lineage_id IS NOT NULL AND lsn IS NOT NULL AND wal_file IS NOT NULL AND backup_id IS NOT NULL
            AND size IS NOT NULL AND missing_files IS NOT NULL AND taken_at IS NOT NULL)),
    CONSTRAINT snapshots_unproven_has_nothing CHECK (
        state NOT IN ('creating', 'failed') OR (lsn IS NULL AND wal_file IS NULL AND backup_id IS NULL)),
    CONSTRAINT snapshots_expire_later CHECK (expires_at > created_at)
);

-- A name is free again once its snapshot cannot be restored to.
CREATE UNIQUE INDEX snapshots_tenant_name ON ops.snapshots (tenant_id, name)
    WHERE state IN ('creating', 'ready', 'restoring');
CREATE INDEX snapshots_backup ON ops.snapshots (backup_id);
CREATE INDEX snapshots_expiry ON ops.snapshots (expires_at) WHERE state IN ('ready', 'failed');

CREATE TABLE ops.restores (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL REFERENCES ops.tenants,
    state            text NOT NULL CONSTRAINT restores_state_written
                     CHECK (state IN ('planning', 'planned', 'materialising', 'switching', 'switched',
                                      'succeeded', 'failed')),
    snapshot_id      uuid,
    at               timestamptz,
    -- What is executed, and the same for people to read.
    plan             jsonb,
    shown            jsonb,
    -- The database it makes, once there is one.
    to_database_id   uuid,
    reason           text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES ops.snapshots (tenant_id, id),
    FOREIGN KEY (tenant_id, to_database_id) REFERENCES ops.tenant_databases (tenant_id, id),
    CONSTRAINT restores_one_target CHECK (num_nonnulls(snapshot_id, at) = 1),
    CONSTRAINT restores_plan_is_shown CHECK ((plan IS NULL) = (shown IS NULL)),
    CONSTRAINT restores_planned_has_plan CHECK (state IN ('planning', 'failed') OR plan IS NOT NULL),
    CONSTRAINT restores_switch_has_database
        CHECK (state NOT IN ('switching', 'switched', 'succeeded') OR to_database_id IS NOT NULL),
    CONSTRAINT restores_failed_has_reason CHECK ((state = 'failed') = (reason IS NOT NULL)),
    CONSTRAINT restores_ended_since CHECK ((state IN ('succeeded', 'failed')) = (ended_at IS NOT NULL))
);

CREATE INDEX restores_tenant ON ops.restores (tenant_id, id);
CREATE INDEX restores_snapshot ON ops.restores (snapshot_id);
CREATE INDEX restores_to_database ON ops.restores (to_database_id);

GRANT SELECT, INSERT ON ops.base_backups TO heddle_control;
GRANT SELECT, INSERT ON ops.snapshots TO heddle_control;
GRANT UPDATE (state, lineage_id, lsn, wal_file, backup_id, size, missing_files, taken_at, expires_at)
    ON ops.snapshots TO heddle_control;
GRANT SELECT, INSERT ON ops.restores TO heddle_control;
GRANT UPDATE (state, plan, shown, to_database_id, reason, ended_at) ON ops.restores TO heddle_control;

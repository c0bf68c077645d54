-- Alerts, and what workers report of their hosts for them.

CREATE TABLE ops.alerts (
    id              uuid PRIMARY KEY,
    kind            text NOT NULL CONSTRAINT alerts_kind_written
                    CHECK (kind IN ('queue_depth', 'stale_run', 'dead_run', 'lost_worker', 'backup_failed',
                                    'backup_overdue', 'production_restore', 'disk_full', 'wal_growth', 'connections',
                                    'old_transaction')),
    -- What it is about: an id or a name, by its kind.
    subject         text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    -- Null: the whole installation's.
    project_id      uuid REFERENCES ops.projects,
    severity        text NOT NULL CONSTRAINT alerts_severity_written
                    CHECK (severity IN ('info', 'warning', 'critical')),
    detail          text NOT NULL CHECK (length(detail) <= 2000),
    opened_at       timestamptz NOT NULL,
    -- Since when its condition has not held; resolved when that has lasted.
    quiet_since     timestamptz,
    -- A requester, as in runs.
    acknowledged_by text CHECK (acknowledged_by <> ''),
    acknowledged_at timestamptz,
    resolved_at     timestamptz,
    CONSTRAINT alerts_acknowledged_by_somebody CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL)),
    CONSTRAINT alerts_resolved_after_quiet CHECK (resolved_at IS NULL OR quiet_since IS NOT NULL)
);

CREATE UNIQUE INDEX alerts_one_open ON ops.alerts (kind, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON ops.alerts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX alerts_project ON ops.alerts (project_id, id);

-- Of the disks that a worker's folders are on.
CREATE TABLE ops.worker_disks (
    worker_id   uuid NOT NULL REFERENCES ops.workers,
    place       text NOT NULL CONSTRAINT worker_disks_place_written CHECK (place IN ('data', 'repository')),
    total       bigint NOT NULL CHECK (total >= 0),
    free        bigint NOT NULL CHECK (free >= 0),
    observed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (worker_id, place)
) WITH (fillfactor = 50);

-- Bytes of WAL that a tenant's cell keeps. Apart from the other observations:
-- nobody waits for a change of these.
CREATE TABLE ops.tenant_wal (
    tenant_id   uuid PRIMARY KEY REFERENCES ops.tenants,
    bytes       bigint NOT NULL CHECK (bytes >= 0),
    observed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE VIEW ops.alert_details WITH (security_invoker = true) AS
SELECT a.id, a.kind, a.subject, a.project_id, p.name AS project, a.severity,
       CASE WHEN a.resolved_at IS NOT NULL THEN 'resolved'
            WHEN a.acknowledged_at IS NOT NULL THEN 'acknowledged'
            ELSE 'open' END AS state,
       a.detail, a.opened_at, a.quiet_since, a.acknowledged_by, a.acknowledged_at, a.resolved_at
FROM ops.alerts a
LEFT JOIN ops.projects p ON p.id = a.project_id;

-- How the management database is used. The owner's: it may see everybody's
-- connections where the administrator could grant it that.
CREATE FUNCTION ops.server_load(OUT connections bigint, OUT most_connections bigint,
                                OUT oldest_transaction double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT count(*) FILTER (WHERE a.backend_type = 'client backend'),
               current_setting('max_connections')::bigint
                   - current_setting('superuser_reserved_connections')::bigint,
               COALESCE(extract(epoch FROM clock_timestamp() - min(a.xact_start) FILTER (
                   WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
                     AND a.datname = pg_catalog.current_database())), 0)::double precision
        FROM pg_catalog.pg_stat_activity a
    $$;
REVOKE ALL ON FUNCTION ops.server_load() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.server_load() TO heddle_control;

-- Whether the caller may see what is counted of the whole installation: an
-- operator. A key of theirs needs no more than to read.
CREATE FUNCTION ops.may_watch() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM ops.acting a
                   WHERE a.operator AND a.project_id IS NULL AND 'read' = ANY (a.scopes));
END;
REVOKE ALL ON FUNCTION ops.may_watch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.may_watch() TO heddle_control, heddle_user;

SELECT ops.secure_tables();

GRANT SELECT ON ops.alert_details TO heddle_control, heddle_user;
GRANT SELECT, INSERT, UPDATE (severity, detail, quiet_since, acknowledged_by, acknowledged_at, resolved_at)
    ON ops.alerts TO heddle_control;
GRANT SELECT, UPDATE (acknowledged_by, acknowledged_at) ON ops.alerts TO heddle_user;
-- A project's are seen by it, the installation's by operators; whoever may run
-- production may say that they look at it.
CREATE POLICY seen ON ops.alerts FOR SELECT TO heddle_user
    USING (project_id IN (SELECT ops.my_projects()) OR (project_id IS NULL AND (SELECT ops.is_operator())));
CREATE POLICY acknowledged ON ops.alerts FOR UPDATE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('operate'))
           OR (project_id IS NULL AND (SELECT ops.is_operator())));

GRANT SELECT, INSERT, UPDATE ON ops.worker_disks, ops.tenant_wal TO heddle_control, heddle_worker;
GRANT SELECT ON ops.worker_disks, ops.tenant_wal TO heddle_user;
CREATE POLICY seen ON ops.worker_disks FOR SELECT TO heddle_user USING ((SELECT ops.is_operator()));
CREATE POLICY itself ON ops.worker_disks TO heddle_worker
    USING (worker_id = (SELECT ops.my_worker())) WITH CHECK (worker_id = (SELECT ops.my_worker()));
CREATE POLICY seen ON ops.tenant_wal FOR SELECT TO heddle_user
    USING (EXISTS (SELECT FROM ops.tenants t WHERE t.id = tenant_id));
CREATE POLICY observed ON ops.tenant_wal TO heddle_worker
    USING (tenant_id IN (SELECT ops.my_tenants())) WITH CHECK (tenant_id IN (SELECT ops.my_tenants()));

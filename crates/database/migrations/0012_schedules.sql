-- Schedules queue runs at times; maintenance windows say when what disturbs
-- people may be done.

ALTER TABLE ops.environments ADD UNIQUE (project_id, id);
ALTER TABLE ops.tenants ADD UNIQUE (environment_id, id);

CREATE TABLE ops.schedules (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES ops.projects,
    -- Whose tenants: the tenant's, the environment's, or the whole project's.
    environment_id uuid,
    tenant_id      uuid,
    name           text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    action         text NOT NULL CONSTRAINT schedules_action_written 
                   CHECK (action IN ('snapshot', 'backup', 'probe')),
    cron           text NOT NULL CHECK (length(cron) BETWEEN 1 AND 100),
    -- A name of the IANA time zone database.
    zone           text NOT NULL CHECK (length(zone) BETWEEN 1 AND 60),
    catch_up       text NOT NULL CONSTRAINT schedules_catch_up_written
                   CHECK (catch_up IN ('none', 'once', 'all')),
    enabled        boolean NOT NULL DEFAULT true,
    -- The instant it is run for next; moved on only by whoever found it as it was.
    next_at        timestamptz,
    -- The clock by which that was worked out.
    planned_at     timestamptz NOT NULL,
    -- The instant it was last run for, the last run that it queued, and what came of it.
    last_at        timestamptz,
    last_run_id    uuid REFERENCES ops.runs ON DELETE SET NULL,
    last_note      text CHECK (length(last_note) <= 1000),
    -- Grows with each change that somebody makes.
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name),
    FOREIGN KEY (project_id, environment_id) REFERENCES ops.environments (project_id, id),
    FOREIGN KEY (environment_id, tenant_id) REFERENCES ops.tenants (environment_id, id),
    CONSTRAINT schedules_tenant_has_environment CHECK (tenant_id IS NULL OR environment_id IS NOT NULL)
);

CREATE INDEX schedules_due ON ops.schedules (next_at) WHERE enabled;
CREATE INDEX schedules_environment ON ops.schedules (environment_id) WHERE environment_id IS NOT NULL;
CREATE INDEX schedules_tenant ON ops.schedules (tenant_id) WHERE tenant_id IS NOT NULL;
CREATE INDEX schedules_last_run ON ops.schedules (last_run_id) WHERE last_run_id IS NOT NULL;

CREATE TABLE ops.maintenance_windows (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES ops.projects,
    -- Of all the project's environments when null.
    environment_id uuid,
    name           text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    -- When it opens, and for how long.
    cron           text NOT NULL CHECK (length(cron) BETWEEN 1 AND 100),
    zone           text NOT NULL CHECK (length(zone) BETWEEN 1 AND 60),
    minutes        integer NOT NULL CHECK (minutes BETWEEN 1 AND 1440),
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name),
    FOREIGN KEY (project_id, environment_id) REFERENCES ops.environments (project_id, id)
);

CREATE INDEX maintenance_windows_environment ON ops.maintenance_windows (environment_id)
    WHERE environment_id IS NOT NULL;

CREATE VIEW ops.schedule_details WITH (security_invoker = true) AS
SELECT s.id, s.project_id, p.name AS project, s.environment_id, e.name AS environment, s.tenant_id, t.name AS tenant,
       s.name, s.action, s.cron, s.zone, s.catch_up, s.enabled, s.next_at, s.planned_at, s.last_at, s.last_run_id,
       s.last_note, s.version, s.created_at
FROM ops.schedules s
JOIN ops.projects p ON p.id = s.project_id
LEFT JOIN ops.environments e ON e.id = s.environment_id
LEFT JOIN ops.tenants t ON t.id = s.tenant_id;

CREATE VIEW ops.maintenance_window_details WITH (security_invoker = true) AS
SELECT w.id, w.project_id, p.name AS project, w.environment_id, e.name AS environment, w.name, w.cron, w.zone,
       w.minutes, w.version, w.created_at
FROM ops.maintenance_windows w
JOIN ops.projects p ON p.id = w.project_id
LEFT JOIN ops.environments e ON e.id = w.environment_id;

SELECT ops.secure_tables();

GRANT SELECT ON ops.schedule_details, ops.maintenance_window_details TO heddle_control, heddle_user;

-- Seen by their project, made by who administers it. Workers have no business with them.
GRANT SELECT, INSERT, DELETE ON ops.schedules, ops.maintenance_windows TO heddle_control;
GRANT SELECT, DELETE ON ops.schedules, ops.maintenance_windows TO heddle_user;
GRANT INSERT ON ops.maintenance_windows TO heddle_user;
-- What it last did is not for people to say.
GRANT INSERT (id, project_id, environment_id, tenant_id, name, action, cron, zone, catch_up, enabled, next_at,
              planned_at) ON ops.schedules TO heddle_user;
GRANT UPDATE ON ops.schedules TO heddle_control;
GRANT UPDATE (action, cron, zone, catch_up, enabled, next_at, planned_at, version) ON ops.schedules TO heddle_user;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['schedules', 'maintenance_windows']
    LOOP
        EXECUTE format('CREATE POLICY seen ON ops.%I FOR SELECT TO heddle_user
                        USING (project_id IN (SELECT ops.my_projects()))', name);
        EXECUTE format('CREATE POLICY made ON ops.%I FOR INSERT TO heddle_user
                        WITH CHECK (project_id IN (SELECT ops.my_projects(''administer'')))', name);
        EXECUTE format('CREATE POLICY removed ON ops.%I FOR DELETE TO heddle_user
                        USING (project_id IN (SELECT ops.my_projects(''administer'')))', name);
    END LOOP;
END $$;
CREATE POLICY changed ON ops.schedules FOR UPDATE TO heddle_user
    USING (project_id IN (SELECT ops.my_projects('administer')));

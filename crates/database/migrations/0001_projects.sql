-- Projects, their builds and their environments.

CREATE TABLE ops.projects (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ops.builds (
    id           uuid PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES ops.projects,
    state        text NOT NULL CONSTRAINT builds_state_written
                 CHECK (state IN ('building', 'ready', 'failed')),
    odoo         text NOT NULL CHECK (odoo <> ''),
    python       text CHECK (python <> ''),
    addons       text[] NOT NULL,
    modules      text[] NOT NULL CHECK (cardinality(modules) > 0),
    odoo_version text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, id),
    CONSTRAINT builds_ready_is_versioned CHECK ((state = 'ready') = (odoo_version IS NOT NULL))
);

CREATE TABLE ops.environments (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES ops.projects,
    name       text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    stage      text NOT NULL CONSTRAINT environments_stage_written
               CHECK (stage IN ('production', 'staging', 'development')),
    build_id   uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name),
    -- The build is one of the same project.
    FOREIGN KEY (project_id, build_id) REFERENCES ops.builds (project_id, id)
);

CREATE UNIQUE INDEX environments_one_production ON ops.environments (project_id) WHERE stage = 'production';
CREATE INDEX environments_build ON ops.environments (build_id);

GRANT SELECT, INSERT ON ops.projects TO heddle_control;
GRANT SELECT, INSERT, UPDATE (state, odoo_version) ON ops.builds TO heddle_control;
GRANT SELECT, INSERT, UPDATE (build_id) ON ops.environments TO heddle_control;

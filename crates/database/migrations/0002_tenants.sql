-- Workers, clusters, and the tenants that they serve.

-- A worker keeps its row and its id over its processes: a host's clusters
-- belong to the name.
CREATE TABLE ops.workers (
    id            uuid PRIMARY KEY,
    name          text NOT NULL UNIQUE CHECK (name <> ''),
    version       text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now(),
    -- Since when it has been silent; set by a reconciler, cleared by any word of it.
    gone_at       timestamptz
) WITH (fillfactor = 50);

CREATE TABLE ops.clusters (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL CONSTRAINT clusters_kind_written CHECK (kind IN ('cell')),
    state      text NOT NULL CONSTRAINT clusters_state_written
               CHECK (state IN ('creating', 'ready', 'fenced', 'dropped')),
    -- On whose host it is.
    worker_id  uuid NOT NULL REFERENCES ops.workers,
    created_at timestamptz NOT NULL DEFAULT now(),
    fenced_at  timestamptz,
    dropped_at timestamptz,
    CONSTRAINT clusters_fenced_since CHECK (state <> 'fenced' OR fenced_at IS NOT NULL),
    CONSTRAINT clusters_serving_is_not_fenced CHECK (state NOT IN ('creating', 'ready') OR fenced_at IS NULL),
    CONSTRAINT clusters_dropped_since CHECK ((state = 'dropped') = (dropped_at IS NOT NULL))
);

CREATE INDEX clusters_worker ON ops.clusters (worker_id);
CREATE INDEX clusters_kept ON ops.clusters (state) WHERE state <> 'dropped';

CREATE TABLE ops.tenants (
    id                        uuid PRIMARY KEY,
    environment_id            uuid NOT NULL REFERENCES ops.environments,
    name                      text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    -- Never used again: operating system identities derive from it.
    ordinal                   integer GENERATED ALWAYS AS IDENTITY (MINVALUE 1 NO CYCLE) UNIQUE CHECK (ordinal >= 1),
    subdomain                 text NOT NULL UNIQUE
                              CHECK (subdomain ~ '^[a-z][a-z0-9-]{2,62}$' AND subdomain !~ '-$'),
    database                  text NOT NULL CHECK (database ~ '^[a-z][a-z0-9_-]{0,62}$'),
    state                     text NOT NULL CONSTRAINT tenants_state_written
                              CHECK (state IN ('draft', 'provisioning', 'active', 'suspended', 'archived')),
    -- The database it serves.
    tenant_database_id        uuid,
    tier                      text NOT NULL CONSTRAINT tenants_tier_written
                              CHECK (tier IN ('basic', 'pro', 'enterprise')),
    max_users                 integer NOT NULL DEFAULT 10 CHECK (max_users > 0),
    max_storage_bytes         bigint NOT NULL DEFAULT 5368709120 CHECK (max_storage_bytes > 0),
    max_ai_operations_per_day integer NOT NULL DEFAULT 100 CHECK (max_ai_operations_per_day > 0),
    subscription_ends_at      timestamptz,
    -- Grows with each change, for those who read and write in two steps.
    version                   bigint NOT NULL DEFAULT 1,
    created_at                timestamptz NOT NULL DEFAULT now(),
    archived_at               timestamptz,
    CONSTRAINT tenants_served_has_database
        CHECK (state NOT IN ('active', 'suspended') OR tenant_database_id IS NOT NULL),
    CONSTRAINT tenants_unprovisioned_has_none
        CHECK (state NOT IN ('draft', 'provisioning') OR tenant_database_id IS NULL),
    CONSTRAINT tenants_archived_since CHECK ((state = 'archived') = (archived_at IS NOT NULL))
);

CREATE INDEX tenants_environment ON ops.tenants (environment_id);

-- One line of a tenant's history. Only its activation is ever added later.
CREATE TABLE ops.lineages (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES ops.tenants,
    parent_id         uuid,
    -- The end of the parent's WAL that the child shares.
    fork_lsn          pg_lsn,
    timeline          bigint NOT NULL CHECK (timeline BETWEEN 1 AND 4294967295),
    -- Unsigned 64 bits, which bigint cannot hold.
    system_identifier numeric(20) NOT NULL CHECK (system_identifier BETWEEN 0 AND 18446744073709551615),
    segment_size      integer NOT NULL CHECK (segment_size BETWEEN 1048576 AND 1073741824),
    database          text NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    -- From when on it was what the tenant served.
    activated_at      timestamptz,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, parent_id) REFERENCES ops.lineages (tenant_id, id),
    CONSTRAINT lineages_parent_has_fork CHECK ((parent_id IS NULL) = (fork_lsn IS NULL)),
    CONSTRAINT lineages_not_own_parent CHECK (parent_id <> id)
);

CREATE INDEX lineages_parent ON ops.lineages (parent_id);

CREATE TABLE ops.tenant_databases (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES ops.tenants,
    cluster_id uuid NOT NULL REFERENCES ops.clusters,
    lineage_id uuid NOT NULL UNIQUE,
    database   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    UNIQUE (cluster_id, database),
    FOREIGN KEY (tenant_id, lineage_id) REFERENCES ops.lineages (tenant_id, id)
);

-- A tenant points at a database of its own.
ALTER TABLE ops.tenants
    ADD FOREIGN KEY (id, tenant_database_id) REFERENCES ops.tenant_databases (tenant_id, id);
CREATE INDEX tenants_tenant_database ON ops.tenants (tenant_database_id);

-- What a worker last saw of a tenant. Apart from the tenant and without
-- further indexes, so that its many updates stay within their page.
CREATE TABLE ops.tenant_observations (
    tenant_id   uuid PRIMARY KEY REFERENCES ops.tenants,
    serving     text NOT NULL CONSTRAINT tenant_observations_serving_written
                CHECK (serving IN ('starting', 'serving', 'failing', 'stopped')),
    http        text,
    gevent      text,
    router_key  text,
    cell_port   integer CHECK (cell_port BETWEEN 1 AND 65535),
    changed_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE (version, registered_at, seen_at, gone_at) ON ops.workers TO heddle_control;
GRANT SELECT, INSERT, UPDATE (state, fenced_at, dropped_at) ON ops.clusters TO heddle_control;
GRANT SELECT, INSERT ON ops.tenants TO heddle_control;
GRANT UPDATE (state, tenant_database_id, tier, max_users, max_storage_bytes, max_ai_operations_per_day,
              subscription_ends_at, version, archived_at) ON ops.tenants TO heddle_control;
GRANT SELECT, INSERT, UPDATE (activated_at) ON ops.lineages TO heddle_control;
GRANT SELECT, INSERT ON ops.tenant_databases TO heddle_control;
GRANT SELECT, INSERT, UPDATE ON ops.tenant_observations TO heddle_control;

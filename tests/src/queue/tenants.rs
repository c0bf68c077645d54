//! Ten thousand tenants, as rows: what control takes to serve their routes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::memory::Memory;
use crate::platform::Platform;

const TENANTS: i64 = 10_000;

/// How long control is watched while routes change.
const WATCHED: Duration = Duration::from_secs(30);

/// On another host's worker, so that nobody tries to start them; each serves and
/// has its backup, so that nothing is due.
const FILL: &str = "
CREATE TEMP TABLE made AS
SELECT n, gen_random_uuid() AS tenant, gen_random_uuid() AS cluster, gen_random_uuid() AS lineage,
       gen_random_uuid() AS database
FROM generate_series(1, 10000) n;
CREATE TEMP TABLE place AS
SELECT gen_random_uuid() AS project, gen_random_uuid() AS build, gen_random_uuid() AS environment,
       gen_random_uuid() AS worker;
INSERT INTO ops.projects (id, name) SELECT project, 'crowded' FROM place;
INSERT INTO ops.builds (id, project_id, state, odoo, addons, modules, odoo_version)
SELECT build, project, 'ready', '/nowhere', '{}', '{base}', '18.0' FROM place;
INSERT INTO ops.environments (id, project_id, name, stage, build_id)
SELECT environment, project, 'production', 'production', build FROM place;
INSERT INTO ops.workers (id, name, version) SELECT worker, 'elsewhere', '0' FROM place;
INSERT INTO ops.clusters (id, kind, state, worker_id) SELECT m.cluster, 'cell', 'ready', p.worker FROM made m, place p;
INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier)
SELECT m.tenant, p.environment, 'crowd-' || m.n, 'crowd-' || m.n, 'crowd_' || m.n, 'provisioning', 'basic'
FROM made m, place p;
INSERT INTO ops.lineages (id, tenant_id, timeline, system_identifier, segment_size, database, activated_at)
SELECT lineage, tenant, 1, n, 1048576, 'crowd_' || n, now() FROM made;
INSERT INTO ops.tenant_databases (id, tenant_id, cluster_id, lineage_id, database)
SELECT database, tenant, cluster, lineage, 'crowd_' || n FROM made;
UPDATE ops.tenants t SET state = 'active', tenant_database_id = m.database FROM made m WHERE m.tenant = t.id;
INSERT INTO ops.base_backups (id, tenant_id, lineage_id, start_lsn, stop_lsn, stopped_at, size, stored)
SELECT gen_random_uuid(), tenant, lineage, '0/1', '0/2', now(), 1, 1 FROM made;
INSERT INTO ops.tenant_observations (tenant_id, serving, http, router_key, cell_port)
SELECT tenant, 'serving', '127.0.0.1:' || 10000 + n, encode(sha256(tenant::text::bytea), 'hex'), 40000 FROM made;
";

/// One tenant's Odoo listens elsewhere: every router is told the whole table.
const MOVE: &str = "
UPDATE ops.tenant_observations o SET http = '127.0.0.1:' || 20000 + $1::int4
FROM ops.tenants t WHERE t.id = o.tenant_id AND t.name = 'crowd-1'";

/// The most that control takes while the router's table changes every second.
pub async fn crowd(database: &Client, platform: &Platform) -> Result<(Memory, i64)> {
    database.batch_execute(FILL).await.context("fill the database with tenants")?;
    database.batch_execute("VACUUM (ANALYZE) ops.tenants, ops.tenant_observations, ops.clusters").await?;
    let pid = platform.role("control").context("control does not run")?;
    let mut most = Memory::of(pid)?;
    let began = Instant::now();
    let mut port = 0;
    while began.elapsed() < WATCHED {
        port += 1;
        database.execute(MOVE, &[&port]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        most = most.most(Memory::of(pid)?);
    }
    Ok((most, TENANTS))
}

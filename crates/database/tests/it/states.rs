//! The schema's CHECKs mirror `model`'s enums, and guarded updates move rows
//! along the states' arrows and along nothing else.

use database::{Guarded, Pool, Sizes, State, sources};
use jiff::Timestamp;
use model::access::{Permission, Role};
use model::alert::{AlertKind, Place, Severity};
use model::cluster::{ClusterKind, ClusterState};
use model::lsn::Lsn;
use model::peek::{PeekState, Point};
use model::policy::{Act, ApprovalState, Decision};
use model::project::{BuildState, Stage};
use model::restore::RestoreState;
use model::run::{Approval, Level, Priority, RunKind, RunState, Stop, WorkerKind};
use model::schedule::{Action, CatchUp};
use model::snapshot::{SnapshotKind, SnapshotState};
use model::tenant::{Limits, Serving, TenantState, Tier};
use model::{
    BackupId, BuildId, ClusterId, LineageId, PeekId, RestoreId, RunId, SnapshotId, TenantDatabaseId,
    TenantId, WorkerId,
};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::scratch::Scratch;

#[tokio::test]
async fn checks_mirror_the_enums() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let mut expected = vec![
        ("alerts_kind_written", written(AlertKind::ALL)),
        ("alerts_severity_written", written(Severity::ALL)),
        ("api_keys_scopes_written", written(Permission::ALL)),
        ("approval_decisions_decision_written", written(Decision::ALL)),
        ("approvals_act_written", written(Act::ALL)),
        ("approvals_state_written", written(ApprovalState::ALL)),
        ("builds_state_written", written(BuildState::ALL)),
        ("clusters_kind_written", written(ClusterKind::ALL)),
        ("clusters_state_written", written(ClusterState::ALL)),
        ("env_permissions_permission_written", written(Permission::GRANTED)),
        ("environments_stage_written", written(Stage::ALL)),
        ("peeks_state_written", written(PeekState::ALL)),
        ("policies_act_written", written(Act::ALL)),
        ("policies_roles_written", written(Role::ALL)),
        ("policies_stage_written", written(Stage::ALL)),
        ("restores_state_written", written(RestoreState::ALL)),
        ("roles_name_written", written(Role::ALL)),
        ("roles_permissions_written", written(Permission::ALL)),
        ("leases_stop_written", written(Stop::ALL)),
        ("run_events_level_written", written(Level::ALL)),
        ("run_kinds_kind_written", written(RunKind::ALL)),
        ("run_kinds_priority_written", written(Priority::ALL)),
        ("run_kinds_worker_written", written(WorkerKind::ALL)),
        ("runs_approval_written", written(Approval::ALL)),
        ("runs_kind_written", written(RunKind::ALL)),
        ("runs_priority_written", written(Priority::ALL)),
        // A queued run with a lease runs; its row does not say so.
        ("runs_state_written", written(&stored_states())),
        ("schedules_action_written", written(Action::ALL)),
        ("schedules_catch_up_written", written(CatchUp::ALL)),
        ("snapshots_kind_written", written(SnapshotKind::ALL)),
        ("snapshots_state_written", written(SnapshotState::ALL)),
        ("tenant_observations_serving_written", written(Serving::ALL)),
        ("tenants_state_written", written(TenantState::ALL)),
        ("tenants_tier_written", written(Tier::ALL)),
        ("workers_kinds_written", written(WorkerKind::ALL)),
        ("worker_disks_place_written", written(Place::ALL)),
    ];
    let rows = admin
        .query(
            "SELECT DISTINCT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conname LIKE '%\\_written' ORDER BY conname",
            &[],
        )
        .await
        .unwrap();
    let mut found: Vec<(String, Vec<String>)> = rows
        .iter()
        .map(|row| {
            let definition: String = row.get(1);
            let mut texts: Vec<String> =
                definition.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
            texts.sort();
            (row.get(0), texts)
        })
        .collect();
    found.sort();
    expected.sort();
    let expected: Vec<(String, Vec<String>)> =
        expected.into_iter().map(|(name, texts)| (name.to_owned(), texts)).collect();
    assert_eq!(found, expected);
}

fn stored_states() -> Vec<RunState> {
    RunState::ALL.iter().copied().filter(|state| *state != RunState::Running).collect()
}

fn written(all: &[impl ToString]) -> Vec<String> {
    let mut texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn limits_default_to_the_models() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let world = World::new(&admin).await;
    let row = admin
        .query_one(
            "SELECT max_users, max_storage_bytes, max_ai_operations_per_day, ordinal FROM ops.tenants WHERE id = $1",
            &[&world.tenant.0],
        )
        .await
        .unwrap();
    let limits = Limits { users: row.get(0), storage_bytes: row.get(1), ai_operations_per_day: row.get(2) };
    assert_eq!(limits, Limits::default());
    assert_eq!(row.get::<_, i32>(3), 1);
}

/// Ids of one of everything, related as they would be.
struct World {
    build: BuildId,
    tenant: TenantId,
    cluster: ClusterId,
    lineage: LineageId,
    database: TenantDatabaseId,
    backup: BackupId,
    snapshot: SnapshotId,
    restore: RestoreId,
}

impl World {
    async fn new(admin: &Client) -> Self {
        let id = |n: u128| Uuid::from_u128(n);
        let sql = "
            INSERT INTO ops.projects (id, name) VALUES ('$1', 'demo');
            INSERT INTO ops.builds (id, project_id, state, odoo, addons, modules, odoo_version)
                VALUES ('$2', '$1', 'ready', '/odoo', '{}', '{base}', '18.0');
            INSERT INTO ops.environments (id, project_id, name, stage, build_id)
                VALUES ('$3', '$1', 'live', 'production', '$2');
            INSERT INTO ops.workers (id, name, version) VALUES ('$4', 'here', '0');
            INSERT INTO ops.clusters (id, kind, state, worker_id) VALUES ('$5', 'cell', 'ready', '$4');
            INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier)
                VALUES ('$6', '$3', 'acme', 'acme', 'acme', 'draft', 'basic');
            INSERT INTO ops.lineages (id, tenant_id, timeline, system_identifier, segment_size, database)
                VALUES ('$7', '$6', 1, 18446744073709551615, 1048576, 'acme');
            INSERT INTO ops.tenant_databases (id, tenant_id, cluster_id, lineage_id, database)
                VALUES ('$8', '$6', '$5', '$7', 'acme');
            UPDATE ops.tenants SET state = 'active', tenant_database_id = '$8';
            INSERT INTO ops.base_backups (id, tenant_id, lineage_id, start_lsn, stop_lsn, stopped_at, size, stored)
                VALUES ('$9', '$6', '$7', '0/100', '0/200', now(), 5000000000, 1000);
            INSERT INTO ops.snapshots (id, tenant_id, name, state, kind, expires_at)
                VALUES ('$a', '$6', 'before', 'creating', 'manual', now() + interval '1 day');
            INSERT INTO ops.restores (id, tenant_id, state, at) VALUES ('$b', '$6', 'planning', now());
            INSERT INTO ops.peeks (id, tenant_id, state, run_id, at, seconds)
                VALUES (gen_random_uuid(), '$6', 'opening', gen_random_uuid(), now(), 60);
            INSERT INTO ops.runs (id, kind, state, project_id, tenant_id, requester, lane, turn)
                VALUES ('$c', 'backup', 'queued', '$1', '$6', 'platform', 2, 1)";
        let sql = (1..=12u128)
            .rev()
            .fold(sql.to_owned(), |sql, n| sql.replace(&format!("'${n:x}'"), &format!("'{}'", id(n))));
        admin.batch_execute(&sql).await.expect("make one of everything");
        Self {
            build: BuildId(id(2)),
            cluster: ClusterId(id(5)),
            tenant: TenantId(id(6)),
            lineage: LineageId(id(7)),
            database: TenantDatabaseId(id(8)),
            backup: BackupId(id(9)),
            snapshot: SnapshotId(id(10)),
            restore: RestoreId(id(11)),
        }
    }
}

/// Walks every pair of states: `put` is SQL that brings the row into a state,
/// `step` the guarded update.
async fn walk<S: State + std::fmt::Debug>(
    scratch: &Scratch,
    table: &str,
    row: Uuid,
    put: impl Fn(S) -> String,
    step: impl AsyncFn(&database::Connection, S, S) -> Guarded<S>,
) {
    let admin = scratch.admin().await;
    let pool = Pool::connect(&scratch.url(), Sizes::each(1)).await.unwrap();
    let connection = pool.get().await.unwrap();
    for &from in S::all() {
        for &to in S::all() {
            let put = format!("UPDATE ops.{table} SET {} WHERE id = '{row}'", put(from));
            admin.batch_execute(&put).await.unwrap_or_else(|error| panic!("{put}: {error:?}"));
            let expected = if from.may_become(to) { Guarded::Moved } else { Guarded::Found(from) };
            assert_eq!(step(&connection, from, to).await, expected, "{table}: {from} -> {to}");
            let sql = format!("SELECT state FROM ops.{table} WHERE id = $1");
            let state: String = admin.query_one(&sql, &[&row]).await.unwrap().get(0);
            let expected = if from.may_become(to) { to } else { from };
            assert_eq!(state, expected.as_str(), "{table}: {from} -> {to}");
        }
    }
}

#[tokio::test]
async fn builds_follow_their_arrows() {
    let scratch = Scratch::new().await;
    let world = World::new(&scratch.admin().await).await;
    let put = |state: BuildState| {
        let version = if state == BuildState::Ready { "'18.0'" } else { "NULL" };
        format!("state = '{state}', odoo_version = {version}")
    };
    walk(&scratch, "builds", world.build.0, put, async |on, _, to| {
        let version = (to == BuildState::Ready).then_some("18.0");
        database::build::set_state(on, world.build, &sources(to), to, version).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn tenants_follow_their_arrows() {
    let scratch = Scratch::new().await;
    let world = World::new(&scratch.admin().await).await;
    let put = |state: TenantState| {
        let served = matches!(state, TenantState::Active | TenantState::Suspended);
        let database = if served { format!("'{}'", world.database) } else { "NULL".to_owned() };
        let archived = if state == TenantState::Archived { "now()" } else { "NULL" };
        format!("state = '{state}', tenant_database_id = {database}, archived_at = {archived}")
    };
    walk(&scratch, "tenants", world.tenant.0, put, async |on, _, to| {
        let serves = (to == TenantState::Active).then_some(world.database);
        database::tenant::set_state(on, world.tenant, &sources(to), to, serves).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn clusters_follow_their_arrows() {
    let scratch = Scratch::new().await;
    let world = World::new(&scratch.admin().await).await;
    let put = |state: ClusterState| {
        let since = |wanted| if state == wanted { "now()" } else { "NULL" };
        format!(
            "state = '{state}', fenced_at = {}, dropped_at = {}",
            since(ClusterState::Fenced),
            since(ClusterState::Dropped)
        )
    };
    walk(&scratch, "clusters", world.cluster.0, put, async |on, _, to| {
        database::cluster::set_state(on, world.cluster, &sources(to), to).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn snapshots_follow_their_arrows() {
    let scratch = Scratch::new().await;
    let world = World::new(&scratch.admin().await).await;
    let proof = database::snapshot::Proof {
        lineage: world.lineage,
        lsn: Lsn(0x200),
        wal_file: "000000010000000000000001",
        backup: world.backup,
        size: 5_000_000_000,
        missing_files: 0,
        taken_at: Timestamp::now(),
    };
    let put = |state: SnapshotState| match state {
        SnapshotState::Ready | SnapshotState::Restoring => format!(
            "state = '{state}', lineage_id = '{}', lsn = '0/200', wal_file = 'w', backup_id = '{}', size = 1,
             missing_files = 0, taken_at = now()",
            world.lineage, world.backup
        ),
        _ => format!(
            "state = '{state}', lineage_id = NULL, lsn = NULL, wal_file = NULL, backup_id = NULL, size = NULL,
             missing_files = NULL, taken_at = NULL"
        ),
    };
    walk(&scratch, "snapshots", world.snapshot.0, put, async |on, from, to| {
        if (from, to) == (SnapshotState::Creating, SnapshotState::Ready) {
            return database::snapshot::set_ready(on, world.snapshot, &proof).await.unwrap();
        }
        database::snapshot::set_state(on, world.snapshot, &sources(to), to).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn restores_follow_their_arrows() {
    let scratch = Scratch::new().await;
    let world = World::new(&scratch.admin().await).await;
    let put = |state: RestoreState| {
        let plan = if state == RestoreState::Planning { "NULL" } else { "'{}'" };
        let ended = matches!(state, RestoreState::Succeeded | RestoreState::Failed);
        let reason = if state == RestoreState::Failed { "'why'" } else { "NULL" };
        let made =
            matches!(state, RestoreState::Switching | RestoreState::Switched | RestoreState::Succeeded);
        let database = if made { format!("'{}'", world.database) } else { "NULL".to_owned() };
        let ended = if ended { "now()" } else { "NULL" };
        format!(
            "state = '{state}', plan = {plan}, shown = {plan}, reason = {reason}, ended_at = {ended},
             to_database_id = {database}"
        )
    };
    walk(&scratch, "restores", world.restore.0, put, async |on, _, to| {
        if to == RestoreState::Planned {
            let plan = serde_json::json!({});
            return database::restore::set_planned(on, world.restore, &plan, &plan).await.unwrap();
        }
        let reason = (to == RestoreState::Failed).then_some("why");
        let made = (to == RestoreState::Switching).then_some(world.database);
        database::restore::set_state(on, world.restore, &sources(to), to, reason, made).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn peeks_follow_their_arrows() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let world = World::new(&admin).await;
    let worker: Uuid = admin.query_one("SELECT id FROM ops.workers", &[]).await.unwrap().get(0);
    let peek = PeekId::new();
    {
        let pool = Pool::connect(&scratch.url(), Sizes::each(1)).await.unwrap();
        let point = Point::Lsn(Lsn(0x300_0148));
        let new =
            database::peek::New { id: peek, tenant: world.tenant, run: RunId::new(), point, seconds: 60 };
        let connection = pool.get().await.unwrap();
        database::peek::insert(&connection, new).await.unwrap();
        let found = database::peek::get(&connection, peek).await.unwrap().unwrap();
        assert_eq!((found.point, found.state), (point, PeekState::Opening));
    }
    let put = |state: PeekState| {
        let opened = matches!(state, PeekState::Open | PeekState::Ending | PeekState::Ended);
        let since = |wanted| if wanted { "now()" } else { "NULL" };
        let (at, ended) = (since(opened), since(matches!(state, PeekState::Ended | PeekState::Failed)));
        let (worker, port) = match opened {
            true => (format!("'{worker}'"), "18000"),
            false => ("NULL".to_owned(), "NULL"),
        };
        let reason = if matches!(state, PeekState::Opening | PeekState::Open) { "NULL" } else { "'why'" };
        format!(
            "state = '{state}', worker_id = {worker}, port = {port}, opened_at = {at}, expires_at = {at},
             reason = {reason}, ended_at = {ended}"
        )
    };
    walk(&scratch, "peeks", peek.0, put, async |on, _, to| match to {
        PeekState::Open => database::peek::set_open(on, peek, WorkerId(worker), 18_000).await.unwrap(),
        _ => database::peek::set_state(on, peek, &sources(to), to, "why").await.unwrap(),
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_not_there_is_missing() {
    let scratch = Scratch::new().await;
    let pool = Pool::connect(&scratch.url(), Sizes::each(1)).await.unwrap();
    let connection = pool.get().await.unwrap();
    let (from, to) = ([TenantState::Active], TenantState::Suspended);
    let moved = database::tenant::set_state(&connection, TenantId::new(), &from, to, None).await.unwrap();
    assert_eq!(moved, Guarded::Missing);
}

/// Broken invariants are refused by the schema itself.
#[tokio::test]
async fn rows_that_contradict_themselves_are_refused() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    World::new(&admin).await;
    for (sql, constraint) in [
        ("UPDATE ops.tenants SET tenant_database_id = NULL", "tenants_served_has_database"),
        ("UPDATE ops.tenants SET state = 'draft'", "tenants_unprovisioned_has_none"),
        ("UPDATE ops.tenants SET state = 'archived'", "tenants_archived_since"),
        ("UPDATE ops.tenants SET subdomain = 'Acme'", "tenants_subdomain_check"),
        ("UPDATE ops.tenants SET subdomain = 'a1'", "tenants_subdomain_check"),
        ("UPDATE ops.tenants SET subdomain = 'acme-'", "tenants_subdomain_check"),
        ("UPDATE ops.tenants SET max_users = 0", "tenants_max_users_check"),
        ("UPDATE ops.tenants SET state = 'gone'", "tenants_state_written"),
        ("UPDATE ops.builds SET odoo_version = NULL", "builds_ready_is_versioned"),
        ("UPDATE ops.clusters SET state = 'fenced'", "clusters_fenced_since"),
        ("UPDATE ops.clusters SET state = 'dropped'", "clusters_dropped_since"),
        ("UPDATE ops.snapshots SET state = 'ready'", "snapshots_ready_is_proven"),
        ("UPDATE ops.snapshots SET lsn = '0/1'", "snapshots_unproven_has_nothing"),
        ("UPDATE ops.restores SET state = 'planned'", "restores_planned_has_plan"),
        ("UPDATE ops.restores SET state = 'failed', ended_at = now()", "restores_failed_has_reason"),
        ("UPDATE ops.restores SET at = NULL", "restores_one_target"),
        ("UPDATE ops.runs SET state = 'running'", "runs_state_written"),
        ("UPDATE ops.peeks SET state = 'open'", "peeks_opened_somewhere"),
        ("UPDATE ops.peeks SET port = 18000", "peeks_opened_somewhere"),
        ("UPDATE ops.peeks SET state = 'failed', ended_at = now()", "peeks_end_with_reason"),
        ("UPDATE ops.peeks SET lsn = '0/1'", "peeks_one_target"),
        ("UPDATE ops.peeks SET seconds = 9", "peeks_seconds_check"),
        ("UPDATE ops.runs SET state = 'cancelled'", "runs_ended_since"),
        ("UPDATE ops.runs SET started_at = now()", "runs_queued_not_started"),
        ("UPDATE ops.runs SET turn = NULL", "runs_queued_has_turn"),
        ("UPDATE ops.runs SET approval = 'pending'", "runs_pending_waits"),
        ("UPDATE ops.runs SET idempotency_key = 'k'", "runs_key_has_hash"),
        ("UPDATE ops.lineages SET fork_lsn = '0/1'", "lineages_parent_has_fork"),
    ] {
        let refused = admin.batch_execute(sql).await.expect_err(sql);
        let found = refused.as_db_error().and_then(|error| error.constraint());
        assert_eq!(found, Some(constraint), "{sql}");
    }
}

#[tokio::test]
async fn a_project_has_one_production() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    World::new(&admin).await;
    let second = "INSERT INTO ops.environments (id, project_id, name, stage, build_id)
                  SELECT gen_random_uuid(), project_id, 'second', 'production', build_id FROM ops.environments";
    let refused = admin.batch_execute(second).await.unwrap_err();
    let found = refused.as_db_error().and_then(|error| error.constraint());
    assert_eq!(found, Some("environments_one_production"));
}

#[tokio::test]
async fn one_of_many_switches_at_once_wins() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let world = World::new(&admin).await;
    let mut others = Vec::new();
    for n in 100..108u128 {
        let id = Uuid::from_u128(n);
        let sql = format!(
            "INSERT INTO ops.clusters (id, kind, state, worker_id) SELECT '{id}', 'cell', 'ready', worker_id
                 FROM ops.clusters LIMIT 1;
             INSERT INTO ops.lineages (id, tenant_id, parent_id, fork_lsn, timeline, system_identifier,
                                       segment_size, database)
                 VALUES ('{id}', '{}', '{}', '0/200', 2, 1, 1048576, 'acme');
             INSERT INTO ops.tenant_databases VALUES ('{id}', '{}', '{id}', '{id}', 'acme')",
            world.tenant, world.lineage, world.tenant
        );
        admin.batch_execute(&sql).await.unwrap();
        others.push(TenantDatabaseId(id));
    }
    let pool = Pool::connect(&scratch.url(), Sizes::each(8)).await.unwrap();
    let mut switches = tokio::task::JoinSet::new();
    for to in others {
        let pool = pool.clone();
        let (tenant, from) = (world.tenant, world.database);
        switches.spawn(async move {
            let connection = pool.get().await.unwrap();
            (to, database::tenant::point(&connection, tenant, from, to).await.unwrap())
        });
    }
    let outcomes = switches.join_all().await;
    let won: Vec<TenantDatabaseId> =
        outcomes.iter().filter(|(_, outcome)| outcome.moved()).map(|(to, _)| *to).collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    for (_, outcome) in outcomes {
        assert!(outcome.moved() || outcome == Guarded::Found(Some(won[0])), "{outcome:?}");
    }
}

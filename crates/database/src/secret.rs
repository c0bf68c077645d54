use std::collections::HashMap;

use jiff::Timestamp;
use model::{DataKeyId, EnvironmentId, ProjectId, RunId, SecretId, SecretName, TenantId, WorkerId};
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const DATA_KEY: Query = query!("secret/data_key");
const MAKE_DATA_KEY: Query = query!("secret/make_data_key");
const HOLD_WRAPPING: Query = query!("secret/hold_wrapping");
const CHANGE_WRAPPING: Query = query!("secret/change_wrapping");
const WRAPPED_OTHERWISE: Query = query!("secret/wrapped_otherwise");
const REWRAP: Query = query!("secret/rewrap");
const NEXT_VERSION: Query = query!("secret/next_version");
const INSERT_VERSION: Query = query!("secret/insert_version");
const FORGET_VERSIONS: Query = query!("secret/forget_versions");
const REMOVE: Query = query!("secret/remove");
const COUNT: Query = query!("secret/count");
const LIST: Query = query!("secret/list");
const SEALED: Query = query!("secret/sealed");
const STAMP: Query = query!("secret/stamp");
const WHOSE_RUN: Query = query!("secret/whose_run");
const WHOSE_RUNS: Query = query!("secret/whose_runs");
const RUNS_TENANT: Query = query!("secret/runs_tenant");

/// Whose a secret is: a project's, one of its environments', or a tenant's,
/// which then has its environment beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub project: ProjectId,
    pub environment: Option<EnvironmentId>,
    pub tenant: Option<TenantId>,
}

impl Scope {
    fn columns(&self) -> (Uuid, Option<Uuid>, Option<Uuid>) {
        (self.project.0, self.environment.map(|id| id.0), self.tenant.map(|id| id.0))
    }
}

/// A scope's data key as it is kept: wrapped by a key-encryption key.
#[derive(Debug, Clone)]
pub struct DataKey {
    pub id: DataKeyId,
    pub scope: Scope,
    pub wrapped: Vec<u8>,
    /// The key-encryption key's name.
    pub wrapped_by: String,
}

impl Read for DataKey {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let scope = Scope {
            project: columns.id("project_id")?,
            environment: columns.id_if("environment_id")?,
            tenant: columns.id_if("tenant_id")?,
        };
        Ok(Self {
            id: columns.id("id")?,
            scope,
            wrapped: columns.get("wrapped")?,
            wrapped_by: columns.get("wrapped_by")?,
        })
    }
}

pub async fn data_key(on: &impl On, scope: Scope) -> Result<Option<DataKey>> {
    let (project, environment, tenant) = scope.columns();
    DATA_KEY.first(on, &[&project, &environment, &tenant]).await
}

/// Does nothing where the scope has one: read it again.
pub async fn make_data_key(on: &impl On, key: &DataKey) -> Result<()> {
    let (project, environment, tenant) = key.scope.columns();
    MAKE_DATA_KEY
        .run(on, &[&key.id.0, &project, &environment, &tenant, &key.wrapped, &key.wrapped_by])
        .await
        .map(drop)
}

/// Until the transaction ends, the key-encryption key in use stays in use.
pub async fn hold_wrapping(on: &impl On) -> Result<()> {
    HOLD_WRAPPING.run(on, &[]).await.map(drop)
}

/// Until the transaction ends, no data key is made.
pub async fn change_wrapping(on: &impl On) -> Result<()> {
    CHANGE_WRAPPING.run(on, &[]).await.map(drop)
}

/// Those that are wrapped by another key-encryption key, locked.
pub async fn wrapped_otherwise(on: &impl On, by: &str) -> Result<Vec<DataKey>> {
    WRAPPED_OTHERWISE.all(on, &[&by]).await
}

pub async fn rewrap(on: &impl On, key: DataKeyId, wrapped: &[u8], by: &str) -> Result<()> {
    REWRAP.run(on, &[&key.0, &wrapped, &by]).await.map(drop)
}

/// A secret's version, taken by whoever locks its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub secret: SecretId,
    pub version: i64,
}

impl Read for Version {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { secret: columns.id("id")?, version: columns.get("version")? })
    }
}

/// Makes the secret, or gives it its next version; its value is to follow.
pub async fn next_version(on: &impl On, scope: Scope, name: &SecretName) -> Result<Version> {
    let (project, environment, tenant) = scope.columns();
    NEXT_VERSION.one(on, &[&SecretId::new().0, &project, &environment, &tenant, &name.as_str()]).await
}

pub async fn insert_version(
    on: &impl On,
    of: Version,
    key: DataKeyId,
    sealed: &[u8],
    fingerprint: &str,
) -> Result<()> {
    INSERT_VERSION.run(on, &[&of.secret.0, &of.version, &key.0, &sealed, &fingerprint]).await.map(drop)
}

/// Forgets the values up to a version.
pub async fn forget_versions(on: &impl On, secret: SecretId, last: i64) -> Result<()> {
    FORGET_VERSIONS.run(on, &[&secret.0, &last]).await.map(drop)
}

/// The version that the removal is; its values are to be forgotten. None: there is no such secret.
pub async fn remove(on: &impl On, scope: Scope, name: &SecretName) -> Result<Option<Version>> {
    let (project, environment, tenant) = scope.columns();
    REMOVE.first(on, &[&project, &environment, &tenant, &name.as_str()]).await
}

/// How many a scope has itself.
pub async fn count(on: &impl On, scope: Scope) -> Result<i64> {
    let (project, environment, tenant) = scope.columns();
    Ok(COUNT.one::<Only<i64>>(on, &[&project, &environment, &tenant]).await?.0)
}

/// What is shown of a secret.
#[derive(Debug, Clone)]
pub struct Shown {
    pub id: SecretId,
    pub name: String,
    pub project: String,
    pub environment: Option<String>,
    pub tenant: Option<String>,
    pub version: i64,
    pub fingerprint: String,
    pub set_at: Timestamp,
    /// `user:<id>`, `key:<id>` or `platform`.
    pub set_by: String,
    /// Their login, or the key's name, where the reader may know it.
    pub set_by_name: Option<String>,
}

impl Read for Shown {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            name: columns.get("name")?,
            project: columns.get("project")?,
            environment: columns.get("environment")?,
            tenant: columns.get("tenant")?,
            version: columns.get("version")?,
            fingerprint: columns.get("fingerprint")?,
            set_at: columns.get("set_at")?,
            set_by: columns.get("set_by")?,
            set_by_name: columns.get("set_by_name")?,
        })
    }
}

/// A scope's own and those of the wider scopes; by name, the narrowest first.
pub async fn list(on: &impl On, scope: Scope) -> Result<Vec<Shown>> {
    let (project, environment, tenant) = scope.columns();
    LIST.all(on, &[&project, &environment, &tenant]).await
}

/// A value as it is kept.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub scope: Scope,
    pub name: String,
    pub version: i64,
    /// Not an earlier one.
    pub present: bool,
    pub sealed: Vec<u8>,
    pub key: DataKey,
}

impl Read for Sealed {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let scope = Scope {
            project: columns.id("of_project")?,
            environment: columns.id_if("of_environment")?,
            tenant: columns.id_if("of_tenant")?,
        };
        Ok(Self {
            scope,
            name: columns.get("name")?,
            version: columns.get("version")?,
            present: columns.get("present")?,
            sealed: columns.get("sealed")?,
            key: DataKey::read(columns)?,
        })
    }
}

/// All kept values that reach a scope; of two with one name, the later counts.
pub async fn sealed(on: &impl On, scope: Scope) -> Result<Vec<Sealed>> {
    let (project, environment, tenant) = scope.columns();
    SEALED.all(on, &[&project, &environment, &tenant]).await
}

/// Another one after each change of any secret.
pub async fn stamp(on: &impl On) -> Result<i64> {
    Ok(STAMP.one::<Only<i64>>(on, &[]).await?.0)
}

/// Whether a worker has to do with a tenant now.
pub async fn runs_tenant(on: &impl On, worker: WorkerId, tenant: TenantId) -> Result<bool> {
    Ok(RUNS_TENANT.one::<Only<bool>>(on, &[&worker.0, &tenant.0]).await?.0)
}

/// The project and the tenant that a run is of.
pub async fn whose_run(on: &impl On, run: RunId) -> Result<Option<(ProjectId, Option<TenantId>)>> {
    Ok(WHOSE_RUN.first::<Whose>(on, &[&run.0]).await?.map(|whose| whose.0))
}

/// The same of several; those that are not there are left out.
pub async fn whose_runs(
    on: &impl On,
    runs: &[RunId],
) -> Result<HashMap<RunId, (ProjectId, Option<TenantId>)>> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    let found: Vec<WhoseRun> = WHOSE_RUNS.all(on, &[&ids]).await?;
    Ok(found.into_iter().map(|WhoseRun(run, whose)| (run, whose)).collect())
}

struct WhoseRun(RunId, (ProjectId, Option<TenantId>));

impl Read for WhoseRun {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(columns.id("id")?, (columns.id("project_id")?, columns.id_if("tenant_id")?)))
    }
}

struct Whose((ProjectId, Option<TenantId>));

impl Read for Whose {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self((columns.id("project_id")?, columns.id_if("tenant_id")?)))
    }
}

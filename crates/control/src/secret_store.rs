//! Secrets that people set: of a project, an environment or a tenant. Kept
//! sealed, given to the tenants' hosts, and to nobody else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::On;
use database::secret::{DataKey, Scope, Sealed};
use model::access::Permission;
use model::policy::Act;
use model::{ApprovalId, DataKeyId, ProjectId, RunId, SecretName, TenantId, WorkerId};
use protocol::api::{Secret, SecretsOf};
use protocol::internal::TenantSecrets;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::approval::{Doing, use_up};
use crate::redact::Redactor;
use crate::seal::{Key, KeyError};
use crate::{Control, Error, Kind, Refusal, Result};

/// Bytes of a value. A program's whole environment has some 2 MiB.
const LONGEST: usize = 32 << 10;

/// Secrets of one scope.
const MOST_SECRETS: i64 = 100;

/// Values of a secret that are kept: the present one, and those before it that
/// programs may still say.
const KEPT: i64 = 5;

/// For so long a change that another process has made may go unnoticed. What
/// this process changes it notices at once.
const STALE: Duration = Duration::from_secs(1);

/// Redactors, and runs whose scope is known, that are kept at most.
const MOST: usize = 20_000;

/// Whose secrets are meant, with the names that people know them by.
struct Of {
    scope: Scope,
    project: String,
    /// `the tenant acme`
    words: String,
}

impl Control {
    /// Those that reach a tenant, an environment or a project: its own and those
    /// of what it is in; by name, the nearest first. Never their values.
    pub async fn secrets(&self, of: &SecretsOf) -> Result<Vec<Secret>> {
        let database = self.database().await?;
        let of = scope(&database, of).await?;
        Ok(database::secret::list(&database, of.scope).await?.into_iter().map(shown).collect())
    }

    /// Sets a value, which nobody is shown again. `expected` is the version it
    /// must replace.
    pub async fn set_secret(
        &self,
        of: &SecretsOf,
        name: &str,
        value: &str,
        expected: Option<i64>,
    ) -> Result<Secret> {
        let name: SecretName = name.parse()?;
        check(&name, value)?;
        let mut connection = self.database().await?;
        let of = scope(&connection, of).await?;
        let approval = self.may_change(&connection, &of, &format!("set {name} of {}", of.words)).await?;
        let (key, data_key) = self.data_key(of.scope).await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        let next = database::secret::next_version(&transaction, of.scope, &name).await?;
        if expected.is_some_and(|expected| next.version != expected + 1) {
            return Err(changed(&name));
        }
        if database::secret::count(&transaction, of.scope).await? > MOST_SECRETS {
            let detail = format!("{} has {MOST_SECRETS} secrets already, which is the most", of.words);
            return Err(Refusal::wrong_state(detail).hint("remove one that is not needed").into());
        }
        let sealed = key.seal(&place(of.scope, name.as_str(), next.version), value.as_bytes())?;
        let fingerprint = key.fingerprint(value.as_bytes());
        database::secret::insert_version(&transaction, next, data_key, &sealed, &fingerprint).await?;
        database::secret::forget_versions(&transaction, next.secret, next.version - KEPT).await?;
        // Before another's: its version is what the next change is compared with.
        let set = database::secret::list(&transaction, of.scope).await?;
        database::commit(transaction).await?;
        self.inner.redactors.forget();
        let set = set.into_iter().find(|one| one.id == next.secret);
        set.map(shown).ok_or_else(|| missing(&name, &of))
    }

    /// Takes it away with all its values. Programs that were given it have it
    /// until they are started again.
    pub async fn remove_secret(&self, of: &SecretsOf, name: &str, expected: Option<i64>) -> Result<()> {
        let name: SecretName = name.parse()?;
        let mut connection = self.database().await?;
        let of = scope(&connection, of).await?;
        let approval = self.may_change(&connection, &of, &format!("remove {name} of {}", of.words)).await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        let removed = database::secret::remove(&transaction, of.scope, &name).await?;
        let removed = removed.ok_or_else(|| missing(&name, &of))?;
        if expected.is_some_and(|expected| removed.version != expected + 1) {
            return Err(changed(&name));
        }
        database::secret::forget_versions(&transaction, removed.secret, removed.version).await?;
        database::commit(transaction).await?;
        self.inner.redactors.forget();
        Ok(())
    }

    async fn may_change(&self, on: &database::Connection, of: &Of, what: &str) -> Result<Option<ApprovalId>> {
        self.permit(on, of.scope.project, &of.project, Permission::Administer, what).await?;
        let doing = Doing {
            act: Act::SetSecret,
            project: of.scope.project,
            environment: of.scope.environment,
            subject: format!("{} {what}", written(of.scope)),
            summary: what,
        };
        self.granted(on, &doing).await
    }

    /// What a tenant's Odoo is given, for a worker that runs it.
    pub async fn tenant_secrets(&self, worker: WorkerId, tenant: TenantId) -> Result<TenantSecrets> {
        let own = self.platform();
        let database = own.database().await?;
        if !database::secret::runs_tenant(&database, worker, tenant).await? {
            let detail = format!("the worker {worker} does not run the tenant {tenant}");
            return Err(Refusal::new(Kind::Forbidden, detail).into());
        }
        let scope = of_tenant(&crate::tenant::get(&database, tenant).await?);
        let mut values = BTreeMap::new();
        for (sealed, value) in own.opened(&database, scope).await? {
            if sealed.present {
                let text = std::str::from_utf8(&value).unwrap_or_default().to_owned();
                values.insert(sealed.name, text);
            }
        }
        Ok(TenantSecrets { values })
    }

    /// Makes a new key-encryption key, wraps all data keys by it, and forgets
    /// the old one. No value is touched. Broken off anywhere, it can be done
    /// again. How many data keys there are.
    pub async fn rotate_secrets_key(&self) -> Result<usize> {
        let key_file = &self.inner.key_file;
        let new = key_file.add()?;
        let own = self.platform();
        let mut connection = own.database().await?;
        let transaction = database::begin(&mut connection).await?;
        // From here on no data key is made; later ones find the new key first.
        database::secret::change_wrapping(&transaction).await?;
        let keys = database::secret::wrapped_otherwise(&transaction, &new.name).await?;
        for key in &keys {
            let bytes = key_file.named(&key.wrapped_by)?.open(&key_place(key.scope, key.id), &key.wrapped)?;
            let wrapped = new.key.seal(&key_place(key.scope, key.id), &bytes)?;
            database::secret::rewrap(&transaction, key.id, &wrapped, &new.name).await?;
        }
        database::commit(transaction).await?;
        key_file.keep(&new.name)?;
        Ok(keys.len())
    }

    /// The scope's data key, made the first time something is sealed in it.
    async fn data_key(&self, scope: Scope) -> Result<(Key, DataKeyId)> {
        let own = self.platform();
        let mut connection = own.database().await?;
        if let Some(key) = database::secret::data_key(&connection, scope).await? {
            return Ok((self.unwrapped(&key)?, key.id));
        }
        let transaction = database::begin(&mut connection).await?;
        database::secret::hold_wrapping(&transaction).await?;
        // Read under the lock: it stays the one in use until this is committed.
        let by = self.inner.key_file.current()?;
        let id = DataKeyId::new();
        let key = Key::random()?;
        let wrapped = by.key.wrap(&key, &key_place(scope, id))?;
        let new = DataKey { id, scope, wrapped, wrapped_by: by.name };
        database::secret::make_data_key(&transaction, &new).await?;
        database::commit(transaction).await?;
        // Another request may have been quicker.
        let key = database::secret::data_key(&connection, scope).await?;
        let key = key.ok_or_else(|| Refusal::not_found("data key", id))?;
        Ok((self.unwrapped(&key)?, key.id))
    }

    fn unwrapped(&self, key: &DataKey) -> Result<Key> {
        let by = self.inner.key_file.named(&key.wrapped_by)?;
        Ok(by.unwrap(&key.wrapped, &key_place(key.scope, key.id))?)
    }

    /// All kept values that reach a scope, the widest scope's first.
    async fn opened(&self, on: &impl On, scope: Scope) -> Result<Vec<(Sealed, Zeroizing<Vec<u8>>)>> {
        let mut keys: HashMap<DataKeyId, Key> = HashMap::new();
        let mut opened = Vec::new();
        for sealed in database::secret::sealed(on, scope).await? {
            let key = match keys.get(&sealed.key.id) {
                Some(key) => key.clone(),
                None => {
                    let key = self.unwrapped(&sealed.key)?;
                    keys.insert(sealed.key.id, key.clone());
                    key
                }
            };
            let value = key.open(&place(sealed.scope, &sealed.name, sealed.version), &sealed.sealed)?;
            opened.push((sealed, value));
        }
        Ok(opened)
    }

    /// What takes the secrets out of what a run says.
    pub(crate) async fn redactor_of_run(&self, run: RunId) -> Result<Arc<Redactor>> {
        let stamp = self.stamp().await?;
        // Nobody has ever set one.
        if stamp == 0 {
            return Ok(self.inner.redactors.nothing.clone());
        }
        let whose = match self.inner.redactors.whose(run) {
            Some(whose) => whose,
            None => {
                let whose = database::secret::whose_run(&self.platform().database().await?, run).await?;
                // One that is not there will not be written to.
                let Some(whose) = whose else { return Ok(self.inner.redactors.nothing.clone()) };
                self.inner.redactors.note(run, whose);
                whose
            }
        };
        self.redactor(stamp, whose).await
    }

    /// The same for several runs.
    pub(crate) async fn redactors_of_runs(&self, runs: &[RunId]) -> Result<Vec<Arc<Redactor>>> {
        let stamp = self.stamp().await?;
        let nothing = &self.inner.redactors.nothing;
        if stamp == 0 {
            return Ok(vec![nothing.clone(); runs.len()]);
        }
        let whose = database::secret::whose_runs(&self.platform().database().await?, runs).await?;
        let mut redactors = Vec::with_capacity(runs.len());
        for run in runs {
            redactors.push(match whose.get(run) {
                Some(whose) => self.redactor(stamp, *whose).await?,
                // One that is not there will not be written to.
                None => nothing.clone(),
            });
        }
        Ok(redactors)
    }

    /// The same for what a tenant's programs say.
    pub(crate) async fn redactor_of_tenant(
        &self,
        tenant: &database::tenant::Tenant,
    ) -> Result<Arc<Redactor>> {
        let stamp = self.stamp().await?;
        self.redactor(stamp, (tenant.project_id, Some(tenant.id))).await
    }

    /// Another one after each change of any secret; looked at once in `STALE`.
    async fn stamp(&self) -> Result<i64> {
        let redactors = &self.inner.redactors;
        if let Some(stamp) = redactors.stamp() {
            return Ok(stamp);
        }
        let stamp = database::secret::stamp(&self.platform().database().await?).await?;
        redactors.stamped(stamp);
        Ok(stamp)
    }

    async fn redactor(&self, stamp: i64, whose: Whose) -> Result<Arc<Redactor>> {
        let redactors = &self.inner.redactors;
        if let Some(known) = redactors.get(whose) {
            return Ok(known);
        }
        let own = self.platform();
        let database = own.database().await?;
        let scope = match whose {
            (_, Some(tenant)) => of_tenant(&crate::tenant::get(&database, tenant).await?),
            (project, None) => Scope { project, environment: None, tenant: None },
        };
        let redactor = match own.opened(&database, scope).await {
            Ok(values) => Redactor::of(&values.into_iter().map(|(_, value)| value).collect::<Vec<_>>()),
            Err(Error::Database(error)) => return Err(error.into()),
            Err(error) => {
                let error = daemon::telemetry::causes(&error);
                tracing::error!(error, "secrets cannot be read, so what their tenants say is withheld");
                Redactor::Everything
            }
        };
        let redactor = Arc::new(redactor);
        redactors.keep(whose, redactor.clone(), stamp);
        Ok(redactor)
    }
}

type Whose = (ProjectId, Option<TenantId>);

/// Redactors, for as long as no secret changes.
pub(crate) struct Redactors {
    nothing: Arc<Redactor>,
    state: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// All redactors are of this stamp; when it was last seen.
    stamp: Option<(i64, Instant)>,
    redactors: HashMap<Whose, Arc<Redactor>>,
    runs: HashMap<RunId, Whose>,
}

impl Default for Redactors {
    fn default() -> Self {
        Self { nothing: Arc::new(Redactor::Nothing), state: Mutex::default() }
    }
}

impl Redactors {
    fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        // Each change is whole in itself, so a panic elsewhere leaves it sound.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stamp(&self) -> Option<i64> {
        self.with(|kept| kept.stamp.filter(|(_, seen)| seen.elapsed() < STALE).map(|(stamp, _)| stamp))
    }

    /// With another stamp, all redactors are of the past.
    fn stamped(&self, stamp: i64) {
        self.with(|kept| {
            if kept.stamp.is_none_or(|(known, _)| known != stamp) {
                kept.redactors.clear();
            }
            kept.stamp = Some((stamp, Instant::now()));
        });
    }

    fn get(&self, whose: Whose) -> Option<Arc<Redactor>> {
        self.with(|kept| kept.redactors.get(&whose).cloned())
    }

    fn keep(&self, whose: Whose, redactor: Arc<Redactor>, stamp: i64) {
        // What could not be known is tried again.
        if matches!(*redactor, Redactor::Everything) {
            return;
        }
        self.with(|kept| {
            if kept.stamp.is_none_or(|(known, _)| known != stamp) {
                return;
            }
            if kept.redactors.len() >= MOST {
                kept.redactors.clear();
            }
            kept.redactors.insert(whose, redactor);
        });
    }

    fn whose(&self, run: RunId) -> Option<Whose> {
        self.with(|kept| kept.runs.get(&run).copied())
    }

    fn note(&self, run: RunId, whose: Whose) {
        self.with(|kept| {
            if kept.runs.len() >= MOST {
                kept.runs.clear();
            }
            kept.runs.insert(run, whose);
        });
    }

    fn forget(&self) {
        self.with(|kept| {
            kept.stamp = None;
            kept.redactors.clear();
        });
    }
}

async fn scope(on: &impl On, of: &SecretsOf) -> Result<Of> {
    match (&of.project, &of.environment, &of.tenant) {
        (Some(project), None, None) => {
            let project = crate::project::find(on, project).await?;
            let scope = Scope { project: project.id, environment: None, tenant: None };
            let words = format!("the project {}", project.name);
            Ok(Of { scope, project: project.name, words })
        }
        (None, Some(environment), None) => {
            let found = crate::environment::find(on, environment).await?;
            let scope = Scope { project: found.project_id, environment: Some(found.id), tenant: None };
            let words = format!("the environment {}/{}", found.project, found.name);
            Ok(Of { scope, project: found.project, words })
        }
        (None, None, Some(tenant)) => {
            let tenant = crate::tenant::find(on, tenant).await?;
            let project = tenant.environment.split('/').next().unwrap_or_default().to_owned();
            Ok(Of { scope: of_tenant(&tenant), project, words: format!("the tenant {}", tenant.name) })
        }
        _ => Err(Refusal::invalid("a secret is of one project, one environment or one tenant")
            .hint("name exactly one of project, environment and tenant")
            .into()),
    }
}

fn of_tenant(tenant: &database::tenant::Tenant) -> Scope {
    Scope { project: tenant.project_id, environment: Some(tenant.environment_id), tenant: Some(tenant.id) }
}

fn written(scope: Scope) -> String {
    match (scope.tenant, scope.environment) {
        (Some(tenant), _) => format!("tenant:{tenant}"),
        (None, Some(environment)) => format!("environment:{environment}"),
        (None, None) => format!("project:{}", scope.project),
    }
}

/// What a sealed value is bound to.
fn place(scope: Scope, name: &str, version: i64) -> String {
    format!("secret|{}|{name}|{version}", written(scope))
}

/// What a wrapped data key is bound to.
fn key_place(scope: Scope, key: DataKeyId) -> String {
    format!("data-key|{}|{key}", written(scope))
}

fn check(name: &SecretName, value: &str) -> Result<(), Refusal> {
    if value.is_empty() || value.len() > LONGEST {
        let detail = format!("the value of {name} has {} bytes, not 1 to {LONGEST}", value.len());
        return Err(Refusal::invalid(detail).hint("keep what is larger in a file of the addons"));
    }
    if value.contains('\0') {
        return Err(Refusal::invalid(format!("the value of {name} has a NUL in it"))
            .hint("a secret is text; write binary ones as base64"));
    }
    Ok(())
}

fn changed(name: &SecretName) -> Error {
    Refusal::new(Kind::Changed, format!("{name} was changed by somebody else"))
        .hint("look at it again, and decide anew")
        .into()
}

fn missing(name: &SecretName, of: &Of) -> Error {
    Refusal::new(Kind::NotFound, format!("{} has no secret {name} of its own", of.words))
        .hint("`heddle secret list` shows whose each one is")
        .into()
}

fn shown(secret: database::secret::Shown) -> Secret {
    Secret {
        name: secret.name,
        environment: secret.environment.map(|name| format!("{}/{name}", secret.project)),
        project: secret.project,
        tenant: secret.tenant,
        version: secret.version,
        fingerprint: secret.fingerprint,
        set_at: secret.set_at,
        set_by: secret.set_by_name.unwrap_or(secret.set_by),
    }
}

impl Key {
    fn wrap(&self, key: &Self, place: &str) -> Result<Vec<u8>> {
        self.seal(place, key.bytes())
    }

    fn unwrap(&self, wrapped: &[u8], place: &str) -> Result<Self, KeyError> {
        let bytes = self.open(place, wrapped)?;
        Self::from_slice(&bytes).ok_or_else(|| KeyError::Sealed(place.to_owned()))
    }
}

use database::run::About;
use jiff::Timestamp;
use model::access::Permission;
use model::policy::Act;
use model::run::RunKind;
use model::tenant::{Limits, TenantState, Tier};
use model::{DatabaseName, Slug, Subdomain, TenantId};
use protocol::api::{ChangeTenant, CreatedTenant, NewTenant, Page, Run, Tenant, WalLag};
use serde_json::json;

use crate::approval::{Doing, use_up};
use crate::matter::expect;
use crate::once::{Once, Queued};
use crate::permit::missed;
use crate::{Asked, Control, Error, Kind, Refusal, Result, Settings, Slice, secret};

/// The login of Odoo's administrator.
const ADMIN: &str = "admin";

const MOST_USERS: i64 = 1_000_000;
const MOST_BYTES: i64 = 1 << 50;
const MOST_AI_OPERATIONS: i64 = 1_000_000_000;

/// Where a provision run's payload keeps the hash of Odoo's administrator password.
pub(crate) const ADMIN_HASH: &str = "admin_password_hash";

impl Control {
    /// Queues its provision. Asked again under the same idempotency key, the
    /// answer's `admin_password` is empty: it was shown the first time.
    pub async fn create_tenant(&self, asked: &Asked, new: NewTenant) -> Result<CreatedTenant> {
        let name: Slug = new.name.parse()?;
        let subdomain = match &new.subdomain {
            Some(subdomain) => subdomain.parse()?,
            None => subdomain_of(&name)?,
        };
        let database: DatabaseName = match &new.database {
            Some(database) => database.parse()?,
            None => name.as_str().replace('-', "_").parse()?,
        };
        let once = Once::new(asked, "tenant", "", &new)?;
        let mut connection = self.database().await?;
        if let Some(run) = once.before(&connection).await? {
            return self.created_before(&connection, run).await;
        }
        let environment = crate::environment::find(&connection, &new.environment).await?;
        let place = format!("{}/{}", environment.project, environment.name);
        let what = format!("make tenants in {place}");
        self.permit_in(&connection, environment.id, &place, Permission::Develop, &what).await?;
        let password = secret::random(20)?;
        let hash = secret::odoo_hash(&password).await?;
        let insert = database::tenant::NewTenant {
            id: TenantId::new(),
            environment: environment.id,
            name: &name,
            subdomain: &subdomain,
            database: &database,
            state: TenantState::Draft,
            tier: new.tier.unwrap_or(Tier::Basic),
            limits: Limits::default(),
        };
        let transaction = database::begin(&mut connection).await?;
        match database::tenant::insert(&transaction, &insert).await {
            Ok(()) => {}
            Err(error) => {
                let taken = error.taken().map(str::to_owned);
                drop(transaction);
                // The same request may have been quicker than itself.
                if let Some(run) = once.before(&connection).await? {
                    return self.created_before(&connection, run).await;
                }
                return Err(match taken.as_deref() {
                    Some("tenants_subdomain_key") => taken_subdomain(&subdomain),
                    Some(_) => taken_name(&name),
                    None => error.into(),
                });
            }
        }
        let (from, to) = ([TenantState::Draft], TenantState::Provisioning);
        expect(database::tenant::set_state(&transaction, insert.id, &from, to, None).await?, "tenant")?;
        let payload = json!({ ADMIN_HASH: hash });
        let about = About::Provision(insert.id);
        match once.queue(&transaction, environment.project_id, about, payload).await? {
            Queued::New(run) => {
                database::commit(transaction).await?;
                self.queued();
                self.routed();
                Ok(CreatedTenant {
                    tenant: self.shown(get(&connection, insert.id).await?),
                    run: crate::run::shown(crate::run::find(&connection, run).await?),
                    admin_login: ADMIN.to_owned(),
                    admin_password: password,
                })
            }
            Queued::Before(run) => {
                drop(transaction);
                self.created_before(&connection, *run).await
            }
            Queued::Busy(kind) => Err(crate::run::busy(name.as_str(), kind)),
        }
    }

    async fn created_before(&self, on: &impl database::On, run: database::run::Run) -> Result<CreatedTenant> {
        let tenant = run.tenant_id.ok_or_else(|| Refusal::not_found("tenant of the run", run.id))?;
        Ok(CreatedTenant {
            tenant: self.shown(get(on, tenant).await?),
            run: crate::run::shown(run),
            admin_login: ADMIN.to_owned(),
            admin_password: String::new(),
        })
    }

    /// All, or one environment's (`PROJECT/NAME` or an id); by name.
    pub async fn tenants(&self, environment: Option<&str>, slice: &Slice<Slug>) -> Result<Page<Tenant>> {
        let database = self.database().await?;
        let environment = match environment {
            Some(environment) => Some(crate::environment::find(&database, environment).await?.id),
            None => None,
        };
        let after = slice.after.as_ref().map(Slug::as_str);
        let tenants = database::tenant::list(&database, environment, after, slice.rows()).await?;
        let mut tenants: Vec<_> = tenants.into_iter().map(|tenant| self.shown(tenant)).collect();
        add_wal_lag(&database, &mut tenants).await?;
        Ok(slice.page(tenants, |tenant: &Tenant| tenant.name.clone()))
    }

    /// `tenant` is a name or an id, here and below.
    pub async fn tenant(&self, tenant: &str) -> Result<Tenant> {
        let database = self.database().await?;
        let mut tenants = [self.shown(find(&database, tenant).await?)];
        add_wal_lag(&database, &mut tenants).await?;
        let [tenant] = tenants;
        Ok(tenant)
    }

    /// Visitors get a page that says so; its history goes on being kept.
    pub async fn suspend_tenant(&self, tenant: &str) -> Result<Tenant> {
        self.turn(tenant, TenantState::Active, TenantState::Suspended, "only an active one is suspended")
            .await
    }

    pub async fn resume_tenant(&self, tenant: &str) -> Result<Tenant> {
        self.turn(tenant, TenantState::Suspended, TenantState::Active, "only a suspended one is resumed")
            .await
    }

    async fn turn(&self, tenant: &str, from: TenantState, to: TenantState, rule: &str) -> Result<Tenant> {
        let mut connection = self.database().await?;
        let tenant = find(&connection, tenant).await?;
        let verb = if to == TenantState::Active { "resume" } else { "suspend" };
        self.permit_change(&connection, &tenant, verb).await?;
        let transaction = database::begin(&mut connection).await?;
        match database::tenant::set_state(&transaction, tenant.id, &[from], to, None).await? {
            database::Guarded::Moved => {}
            // Asked twice, it is so already.
            database::Guarded::Found(state) if state == to => {}
            database::Guarded::Found(state) => {
                return Err(Refusal::wrong_state(format!("{} is {state}: {rule}", tenant.name)).into());
            }
            database::Guarded::Missing => return Err(missing(&tenant.name)),
        }
        if to == TenantState::Active {
            // What was seen of it was its being stopped.
            database::observation::reset(&transaction, tenant.id).await?;
        }
        database::commit(transaction).await?;
        self.routed();
        Ok(self.shown(get(&connection, tenant.id).await?))
    }

    /// Changes what it may use, if it is still at `version` (None: whatever it is).
    pub async fn change_tenant(
        &self,
        tenant: &str,
        version: Option<i64>,
        change: &ChangeTenant,
    ) -> Result<Tenant> {
        check(change)?;
        let mut connection = self.database().await?;
        let id = {
            let found = find(&connection, tenant).await?;
            self.permit_change(&connection, &found, "change").await?;
            found.id
        };
        let transaction = database::begin(&mut connection).await?;
        database::tenant::lock(&transaction, id).await?;
        let found = get(&transaction, id).await?;
        Refusal::check_version(&found.name, version, found.version)?;
        if found.state == TenantState::Archived {
            return Err(Refusal::wrong_state(format!("{} is archived", found.name)).into());
        }
        let limits = Limits {
            users: change.max_users.unwrap_or(found.limits.users),
            storage_bytes: change.max_storage_bytes.unwrap_or(found.limits.storage_bytes),
            ai_operations_per_day: change
                .max_ai_operations_per_day
                .unwrap_or(found.limits.ai_operations_per_day),
        };
        let (tier, ends) = (
            change.tier.unwrap_or(found.tier),
            change.subscription_ends_at.unwrap_or(found.subscription_ends_at),
        );
        if !database::tenant::change(&transaction, id, tier, &limits, ends).await? {
            return Err(missing(&found.name));
        }
        database::commit(transaction).await?;
        Ok(self.shown(get(&connection, id).await?))
    }

    /// Takes it out of service for good; `confirmed_name` must be its name.
    pub async fn archive_tenant(&self, tenant: &str, confirmed_name: &str) -> Result<Tenant> {
        let mut connection = self.database().await?;
        let tenant = find(&connection, tenant).await?;
        let hint = "archiving takes a tenant out of service for good; type its name to confirm";
        is_named(&tenant, confirmed_name, hint)?;
        self.permit_change(&connection, &tenant, "archive").await?;
        if tenant.state == TenantState::Archived {
            return Ok(self.shown(tenant));
        }
        let summary = format!("archive the tenant {}", tenant.name);
        let doing = doing(&tenant, Act::ArchiveTenant, &summary);
        let approval = self.granted(&connection, &doing).await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        archive(&transaction, &tenant, "its tenant was archived").await?;
        database::commit(transaction).await?;
        self.routed();
        self.told();
        Ok(self.shown(get(&connection, tenant.id).await?))
    }

    /// Queues the destruction of an archived tenant's key; `confirmed_name` must
    /// be its name.
    pub async fn shred_tenant(&self, asked: &Asked, tenant: &str, confirmed_name: &str) -> Result<Run> {
        let mut connection = self.database().await?;
        let tenant = find(&connection, tenant).await?;
        let hint = "nothing that is shredded can be read again; type its name to confirm";
        is_named(&tenant, confirmed_name, hint)?;
        let what = format!("shred {}", tenant.name);
        let project = tenant.environment.split('/').next().unwrap_or_default();
        self.permit(&connection, tenant.project_id, project, Permission::Administer, &what).await?;
        let once = Once::new(asked, "shred", &tenant.id.to_string(), &confirmed_name)?;
        if let Some(run) = once.before(&connection).await? {
            return Ok(crate::run::shown(run));
        }
        may_be_shredded(&tenant)?;
        if database::peek::live(&connection, tenant.id).await? > 0 {
            return Err(Refusal::wrong_state(format!("somebody still looks into {}", tenant.name))
                .hint("its peeks end within a moment of its being archived; ask for this again")
                .into());
        }
        let summary = format!("destroy the key of the tenant {}", tenant.name);
        let doing = doing(&tenant, Act::ShredTenant, &summary);
        let approval = self.granted(&connection, &doing).await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        let queued = once.queue(&transaction, tenant.project_id, About::Shred(tenant.id), json!({})).await?;
        let run = match queued {
            Queued::New(run) => run,
            Queued::Before(run) => return Ok(crate::run::shown(*run)),
            Queued::Busy(kind) => return Err(crate::run::busy(&tenant.name, kind)),
        };
        database::commit(transaction).await?;
        self.queued();
        crate::run::find(&connection, run).await.map(crate::run::shown)
    }

    /// Refuses those who may not develop where the tenant lives.
    async fn permit_change(
        &self,
        on: &impl database::On,
        tenant: &database::tenant::Tenant,
        verb: &str,
    ) -> Result<()> {
        let (environment, place) = (tenant.environment_id, &tenant.environment);
        let what = format!("{verb} {}", tenant.name);
        self.permit_in(on, environment, place, Permission::Develop, &what).await
    }

    pub(crate) fn shown(&self, tenant: database::tenant::Tenant) -> Tenant {
        let settings = self.settings();
        Tenant {
            id: tenant.id.0,
            url: url(settings, &tenant.subdomain),
            name: tenant.name,
            environment: tenant.environment,
            subdomain: tenant.subdomain,
            database: tenant.database,
            state: tenant.state,
            // As the worker saw it, whatever it is meant to be by now.
            serving: tenant.serving,
            tier: tenant.tier,
            max_users: tenant.limits.users,
            max_storage_bytes: tenant.limits.storage_bytes,
            max_ai_operations_per_day: tenant.limits.ai_operations_per_day,
            subscription_ends_at: tenant.subscription_ends_at,
            lineage: tenant.placed.map(|placed| placed.lineage.0),
            cluster_state: tenant.placed.map(|placed| placed.cluster_state),
            restorable_from: restorable_from(settings, tenant.first_backup_at, Timestamp::now()),
            shredded_at: tenant.shredded_at,
            wal_lag: None,
            version: tenant.version,
            created_at: tenant.created_at,
        }
    }
}

/// What workers said of their WAL.
pub(crate) async fn add_wal_lag(on: &impl database::On, tenants: &mut [Tenant]) -> Result<()> {
    let ids: Vec<_> = tenants.iter().map(|tenant| TenantId(tenant.id)).collect();
    for seen in database::observation::seen_wal(on, &ids).await? {
        let lag = seen.lag.map(|lag| WalLag { bytes: lag.bytes, ms: lag.ms, slots_lost: lag.slots_lost });
        for tenant in tenants.iter_mut().filter(|tenant| tenant.id == seen.tenant.0) {
            tenant.wal_lag = lag;
        }
    }
    Ok(())
}

/// Refuses a name that was typed to confirm, and is another's.
fn is_named(tenant: &database::tenant::Tenant, name: &str, hint: &str) -> Result<(), Refusal> {
    if name == tenant.name.as_str() {
        return Ok(());
    }
    Err(Refusal::invalid(format!("{name:?} is not the name of {}", tenant.name)).hint(hint))
}

fn doing<'a>(tenant: &database::tenant::Tenant, act: Act, summary: &'a str) -> Doing<'a> {
    Doing {
        act,
        project: tenant.project_id,
        environment: Some(tenant.environment_id),
        subject: tenant.id.to_string(),
        summary,
    }
}

/// Refuses a tenant that is still served, or that nothing is left of.
pub(crate) fn may_be_shredded(tenant: &database::tenant::Tenant) -> Result<(), Refusal> {
    let name = &tenant.name;
    if let Some(at) = tenant.shredded_at {
        return Err(Refusal::wrong_state(format!("{name} was shredded {at}")));
    }
    if tenant.state != TenantState::Archived {
        return Err(Refusal::wrong_state(format!(
            "{name} is {}: only an archived tenant is shredded",
            tenant.state
        ))
        .hint(format!("archive it first: `heddle tenant archive {name}`")));
    }
    Ok(())
}

/// Takes a tenant out of service, and cancels what is queued of it; refused
/// while it is being made or restored.
pub(crate) async fn archive(
    on: &impl database::On,
    tenant: &database::tenant::Tenant,
    reason: &str,
) -> Result<()> {
    match database::tenant::lock(on, tenant.id).await? {
        None => return Err(missing(&tenant.name)),
        Some(TenantState::Archived) => return Ok(()),
        Some(_) => {}
    }
    for run in database::run::unbegun_of(on, tenant.id).await? {
        crate::run::cancel(on, run, reason).await?;
    }
    let changing = [RunKind::Provision, RunKind::Restore];
    if let Some(kind) = database::run::live_of(on, tenant.id, &changing).await? {
        return Err(crate::run::busy(&tenant.name, kind));
    }
    let from = database::sources(TenantState::Archived);
    let moved = database::tenant::set_state(on, tenant.id, &from, TenantState::Archived, None).await?;
    expect(moved, "tenant")?;
    // One that is being made is refused when it says that it is open.
    database::peek::end_of(on, tenant.id, reason).await?;
    Ok(())
}

/// The first second a tenant can be given back as: when its first backup was
/// whole, or where the retention window starts.
pub(crate) fn restorable_from(
    settings: &Settings,
    first_backup: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let window = now.checked_sub(settings.retention.window()).unwrap_or(Timestamp::MIN);
    first_backup.map(|backup| backup.max(window))
}

pub(crate) async fn find(on: &impl database::On, tenant: &str) -> Result<database::tenant::Tenant> {
    match database::tenant::find(on, tenant).await? {
        Some(found) => Ok(found),
        None => {
            missed(on, "tenant", tenant).await?;
            Err(missing(tenant))
        }
    }
}

pub(crate) async fn get(on: &impl database::On, tenant: TenantId) -> Result<database::tenant::Tenant> {
    database::tenant::get(on, tenant).await?.ok_or_else(|| missing(&tenant.to_string()))
}

fn missing(tenant: &str) -> Error {
    Refusal::not_found("tenant", tenant).hint("`heddle tenant list` shows them").into()
}

/// What can be told without the tenant.
fn check(change: &ChangeTenant) -> Result<(), Refusal> {
    let within = |what: &str, value: Option<i64>, most: i64| match value {
        Some(value) if !(1..=most).contains(&value) => {
            Err(Refusal::invalid(format!("{value} is no number of {what}: from 1 to {most}")))
        }
        _ => Ok(()),
    };
    within("users", change.max_users.map(i64::from), MOST_USERS)?;
    within("bytes", change.max_storage_bytes, MOST_BYTES)?;
    within("AI operations a day", change.max_ai_operations_per_day.map(i64::from), MOST_AI_OPERATIONS)?;
    // The database's calendar does not go back as far as a request could.
    if let Some(Some(ends)) = change.subscription_ends_at
        && ends < Timestamp::UNIX_EPOCH
    {
        return Err(Refusal::invalid(format!("a subscription cannot have ended at {ends}")));
    }
    let ChangeTenant { tier, max_users, max_storage_bytes, max_ai_operations_per_day, subscription_ends_at } =
        change;
    let any = tier.is_some()
        || max_users.is_some()
        || max_storage_bytes.is_some()
        || max_ai_operations_per_day.is_some()
        || subscription_ends_at.is_some();
    if !any {
        return Err(Refusal::invalid("the request changes nothing")
            .hint("name a tier, a limit or the end of the subscription"));
    }
    Ok(())
}

/// Not every good name can be a hostname's label.
fn subdomain_of(name: &Slug) -> Result<Subdomain, Refusal> {
    name.as_str().parse().map_err(|invalid| {
        Refusal::from(invalid).hint(format!("{name} can stay its name: give it another --subdomain"))
    })
}

fn taken_subdomain(subdomain: &Subdomain) -> Error {
    Refusal::new(Kind::Taken, format!("the subdomain {subdomain} is taken by another tenant"))
        .hint("choose another subdomain for it")
        .into()
}

fn taken_name(name: &Slug) -> Error {
    Refusal::new(Kind::Taken, format!("a tenant named {name} is there already"))
        .hint("choose another name; names are unique on the platform")
        .into()
}

pub(crate) fn url(settings: &Settings, subdomain: &str) -> String {
    let base = &settings.base_domain;
    match settings.router_port {
        80 => format!("http://{subdomain}.{base}"),
        port => format!("http://{subdomain}.{base}:{port}"),
    }
}

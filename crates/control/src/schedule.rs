//! Schedules: what people set, and what one of its times queues.

use database::On;
use database::run::{About, NewRun};
use database::schedule::{NewSchedule as Row, Schedule as Stored, Set};
use database::snapshot::New;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::access::Permission;
use model::schedule::{Action, CatchUp, Timetable};
use model::snapshot::SnapshotKind;
use model::tenant::TenantState;
use model::{EnvironmentPath, RunId, ScheduleId, Slug, SnapshotId, TenantId};
use protocol::api::{ChangeSchedule, NewSchedule, Page, Schedule, ScheduleRan, ScheduledTime};
use serde_json::json;

use crate::once::{Once, Queued};
use crate::work::SWEEP;
use crate::{Asked, Control, Kind, Refusal, Requester, Result, Slice};

/// Its snapshots' names need room for a time behind it.
const LONGEST_NAME: usize = 40;

/// So many coming times are shown at most.
const MOST_TIMES: u32 = 1000;

impl Control {
    pub async fn create_schedule(&self, asked: &Asked, new: NewSchedule) -> Result<Schedule> {
        let name: Slug = new.name.parse()?;
        if name.as_str().len() > LONGEST_NAME {
            let detail = format!("the name of a schedule must have at most {LONGEST_NAME} characters");
            return Err(Refusal::invalid(detail).into());
        }
        let zone = new.zone.as_deref().unwrap_or("UTC");
        let timetable = timetable(&new.cron, zone)?;
        let once = Once::new(asked, "schedule", "", &new)?;
        let mut database = self.database().await?;
        let project = crate::project::find(&database, &new.project).await?;
        self.permit(&database, project.id, &project.name, Permission::Administer, "make schedules").await?;
        if let Some(made) = once.made(&database).await? {
            return self.schedule(&made.to_string()).await;
        }
        let mut environment = match &new.environment {
            Some(name) => Some(environment_of(&database, &project, name).await?),
            None => None,
        };
        let mut tenant = None;
        if let Some(named) = &new.tenant {
            let found = crate::tenant::find(&database, named).await?;
            if found.project_id != project.id || environment.is_some_and(|id| id != found.environment_id) {
                let detail = format!("the tenant {} is one of {}", found.name, found.environment);
                return Err(Refusal::invalid(detail)
                    .hint("a schedule is about tenants of its project")
                    .into());
            }
            environment = Some(found.environment_id);
            tenant = Some(found.id);
        }
        let now = database::clock::now(&database).await?;
        let enabled = new.enabled.unwrap_or(true);
        let id = ScheduleId::new();
        let row = Row {
            id,
            project: project.id,
            environment,
            tenant,
            name: name.as_str(),
            set: Set {
                action: new.action,
                cron: &new.cron,
                zone: &written(&timetable, zone),
                catch_up: new.catch_up.unwrap_or(CatchUp::Once),
                enabled,
                next_at: if enabled { timetable.next(now) } else { None },
                planned_at: now,
            },
        };
        let transaction = database::begin(&mut database).await?;
        match database::schedule::insert(&transaction, &row).await {
            Ok(()) if once.keep(&transaction, id.0).await? => {
                database::commit(transaction).await?;
                return self.schedule(&id.to_string()).await;
            }
            Ok(()) => {}
            Err(error) if error.taken().is_some() => {}
            Err(error) => return Err(error.into()),
        }
        drop(transaction);
        // The same request may have been quicker than itself.
        if let Some(made) = once.made(&database).await? {
            return self.schedule(&made.to_string()).await;
        }
        let detail = format!("there is a schedule {}/{name} already", project.name);
        Err(Refusal::new(Kind::Taken, detail).hint("choose another name").into())
    }

    /// All, or one project's; by their names as `PROJECT/NAME`.
    pub async fn schedules(
        &self,
        project: Option<&str>,
        slice: &Slice<EnvironmentPath>,
    ) -> Result<Page<Schedule>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let after = slice.after.as_ref().map(|after| (after.project.as_str(), after.name.as_str()));
        let schedules = database::schedule::list(&database, project, after, slice.rows()).await?;
        Ok(slice.page(schedules.into_iter().map(shown).collect(), |schedule| {
            format!("{}/{}", schedule.project, schedule.name)
        }))
    }

    /// `schedule` is `PROJECT/NAME` or an id.
    pub async fn schedule(&self, schedule: &str) -> Result<Schedule> {
        find(&self.database().await?, schedule).await.map(shown)
    }

    /// Changes it, if it is still at `version` (None: whatever it is).
    pub async fn change_schedule(
        &self,
        schedule: &str,
        version: Option<i64>,
        change: ChangeSchedule,
    ) -> Result<Schedule> {
        let database = self.database().await?;
        let found = find(&database, schedule).await?;
        let name = format!("{}/{}", found.project, found.name);
        let what = format!("change {name}");
        self.permit(&database, found.project_id, &found.project, Permission::Administer, &what).await?;
        Refusal::check_version(&name, version, found.version)?;
        let cron = change.cron.as_deref().unwrap_or(&found.cron);
        let zone = change.zone.as_deref().unwrap_or(&found.zone);
        let timetable = timetable(cron, zone)?;
        let zone = written(&timetable, zone);
        let enabled = change.enabled.unwrap_or(found.enabled);
        let now = database::clock::now(&database).await?;
        let as_before = (cron, &zone, enabled) == (&found.cron, &found.zone, found.enabled);
        let (next_at, planned_at) = match enabled {
            _ if as_before => (found.next_at, found.planned_at),
            true => (timetable.next(now), now),
            false => (None, now),
        };
        let set = Set {
            action: change.action.unwrap_or(found.action),
            cron,
            zone: &zone,
            catch_up: change.catch_up.unwrap_or(found.catch_up),
            enabled,
            next_at,
            planned_at,
        };
        let changed = database::schedule::change(&database, found.id, found.version, &set).await?;
        let now = find(&database, &found.id.to_string()).await?;
        if !changed {
            // Somebody else was quicker.
            Refusal::check_version(&name, Some(found.version), now.version)?;
        }
        Ok(shown(now))
    }

    pub async fn remove_schedule(&self, schedule: &str) -> Result<()> {
        let database = self.database().await?;
        let found = find(&database, schedule).await?;
        let what = "remove schedules";
        self.permit(&database, found.project_id, &found.project, Permission::Administer, what).await?;
        if database::schedule::remove(&database, found.id).await? {
            return Ok(());
        }
        Err(unknown(schedule).into())
    }

    /// The next `count` times (at most 1,000) at which it comes, or would if it
    /// were not paused.
    pub async fn schedule_times(&self, schedule: &str, count: u32) -> Result<Vec<ScheduledTime>> {
        let database = self.database().await?;
        let found = find(&database, schedule).await?;
        let timetable = timetable(&found.cron, &found.zone)?;
        let now = database::clock::now(&database).await?;
        let times = std::iter::successors(timetable.next(now), |at| timetable.next(*at));
        Ok(times
            .take(count.clamp(1, MOST_TIMES) as usize)
            .map(|at| ScheduledTime {
                at,
                local: at.to_zoned(timetable.zone().clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            })
            .collect())
    }

    /// Queues what it would queue, now and in the name of who asks.
    pub async fn run_schedule(&self, asked: &Asked, schedule: &str) -> Result<ScheduleRan> {
        let mut connection = self.database().await?;
        let found = find(&connection, schedule).await?;
        let (project, what) = (&found.project, format!("run {}/{}", found.project, found.name));
        match (found.environment_id, &found.environment) {
            (Some(environment), Some(name)) => {
                let name = format!("{project}/{name}");
                self.permit_in(&connection, environment, &name, Permission::Test, &what).await?;
            }
            // Production is among them, or may be.
            _ => self.permit(&connection, found.project_id, project, Permission::Operate, &what).await?,
        }
        let mut by = asked.by;
        if found.action == Action::Expire {
            // Nobody asks for such a run in his own name: it is the platform's
            // to say what is kept.
            self.permit(&connection, found.project_id, project, Permission::Administer, &what).await?;
            connection = self.as_schedule().database().await?;
            by = Requester::Schedule(found.id);
        }
        let now = database::clock::now(&connection).await?;
        let once = match &asked.idempotency_key {
            Some(key) => key.clone(),
            None => uuid::Uuid::now_v7().to_string(),
        };
        let transaction = database::begin(&mut connection).await?;
        let key = format!("run:{}:{once}", found.id);
        let fired = self.fire(&transaction, &found, by, &key, now).await?;
        database::commit(transaction).await?;
        if fired.new > 0 {
            self.queued();
        }
        Ok(ScheduleRan { note: fired.note(), runs: fired.runs.into_iter().map(|run| run.0).collect() })
    }

    /// Queues what a schedule is for, once under `key`, in the caller's
    /// transaction.
    pub(crate) async fn fire(
        &self,
        on: &impl On,
        schedule: &Stored,
        by: Requester,
        key: &str,
        at: Timestamp,
    ) -> Result<Fired> {
        let states: &[TenantState] = match schedule.action {
            Action::Snapshot => &[TenantState::Active, TenantState::Suspended],
            Action::Backup => &[TenantState::Active],
            Action::Expire => &[TenantState::Active, TenantState::Suspended],
            Action::Probe => return self.fire_probe(on, schedule, by, key).await,
        };
        let tenants = database::schedule::tenants(on, schedule.id, states).await?;
        let mut fired = Fired { tenants: tenants.len(), ..Fired::default() };
        for (tenant, name) in tenants {
            let once = Once::under(by, format!("{key}:{tenant}"));
            if let Some(before) = once.before(on).await? {
                fired.runs.push(before.id);
                continue;
            }
            let about = match schedule.action {
                Action::Backup => About::Backup(tenant),
                Action::Expire => About::Expire(tenant),
                Action::Probe => About::Probe,
                Action::Snapshot => match self.new_snapshot(on, schedule, tenant, at).await? {
                    Some(snapshot) => About::Snapshot(tenant, snapshot),
                    None => {
                        fired.left_out.push(format!("{name} has a snapshot of that name"));
                        continue;
                    }
                },
            };
            let payload = match about {
                About::Expire(_) => json!({ SWEEP: true }),
                _ => json!({}),
            };
            match once.queue(on, schedule.project_id, about, payload).await? {
                Queued::New(run) => {
                    fired.runs.push(run);
                    fired.new += 1;
                }
                Queued::Before(run) => fired.runs.push(run.id),
                Queued::Busy(kind) => fired.left_out.push(format!("{name} has a {kind} run under way")),
            }
        }
        Ok(fired)
    }

    /// Of no tenant, and so one run.
    async fn fire_probe(&self, on: &impl On, schedule: &Stored, by: Requester, key: &str) -> Result<Fired> {
        let mut run = NewRun::new(schedule.project_id, About::Probe);
        run.environment = schedule.environment_id;
        let mut fired = Fired { tenants: 1, ..Fired::default() };
        match Once::under(by, key.to_owned()).queue_run(on, run).await? {
            Queued::New(run) => {
                fired.runs.push(run);
                fired.new += 1;
            }
            Queued::Before(run) => fired.runs.push(run.id),
            Queued::Busy(kind) => fired.left_out.push(format!("a {kind} run is under way")),
        }
        Ok(fired)
    }

    /// None: the tenant has one of that name.
    async fn new_snapshot(
        &self,
        on: &impl On,
        schedule: &Stored,
        tenant: TenantId,
        at: Timestamp,
    ) -> Result<Option<SnapshotId>> {
        let name: Slug = format!("{}-{}", schedule.name, at.strftime("%Y%m%d-%H%M%S")).parse()?;
        if database::snapshot::find(on, tenant, name.as_str()).await?.is_some() {
            return Ok(None);
        }
        let expires = self.expiry(database::clock::now(on).await?, None)?;
        let id = SnapshotId::new();
        let new = New {
            id,
            tenant,
            name: &name,
            kind: SnapshotKind::Auto,
            expires_at: expires,
            note: None,
            pinned: false,
        };
        database::snapshot::insert(on, &new).await?;
        Ok(Some(id))
    }
}

/// What came of one time of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Fired {
    /// Those queued now or, under the same key, before.
    pub runs: Vec<RunId>,
    pub new: u32,
    tenants: usize,
    left_out: Vec<String>,
}

impl Fired {
    pub fn note(&self) -> String {
        let mut note = match (self.tenants, self.runs.len()) {
            (0, _) => "nothing was queued: no tenant of it is active".to_owned(),
            (_, 1) => "queued 1 run".to_owned(),
            (_, runs) => format!("queued {runs} runs"),
        };
        if let Some(first) = self.left_out.first() {
            note += &format!("; left out {}, such as: {first}", self.left_out.len());
        }
        note
    }
}

/// Refuses what is no cron expression, or a time zone that nobody knows.
pub(crate) fn timetable(cron: &str, zone: &str) -> Result<Timetable, Refusal> {
    let known = (zone.len() <= 60).then(|| TimeZone::get(zone).ok()).flatten();
    let known = known.ok_or_else(|| {
        let zone: String = zone.chars().take(60).collect();
        Refusal::invalid(format!("there is no time zone {zone:?}"))
            .hint("name it as the IANA database does, such as Europe/Paris or UTC")
    })?;
    Timetable::new(cron, known).map_err(|invalid| Refusal::invalid(invalid.to_string()))
}

/// A zone's name as its database writes it.
pub(crate) fn written(timetable: &Timetable, given: &str) -> String {
    timetable.zone().iana_name().unwrap_or(given).to_owned()
}

/// An environment of a project, by its name alone, `PROJECT/NAME` or id.
pub(crate) async fn environment_of(
    on: &impl On,
    project: &database::project::Project,
    environment: &str,
) -> Result<model::EnvironmentId> {
    let whole = match environment.contains('/') || environment.parse::<uuid::Uuid>().is_ok() {
        true => environment.to_owned(),
        false => format!("{}/{environment}", project.name),
    };
    let found = crate::environment::find(on, &whole).await?;
    if found.project_id == project.id {
        return Ok(found.id);
    }
    Err(Refusal::invalid(format!("the environment {whole} is not one of the project {}", project.name))
        .into())
}

async fn find(on: &impl On, schedule: &str) -> Result<Stored> {
    Ok(database::schedule::find(on, schedule).await?.ok_or_else(|| unknown(schedule))?)
}

fn unknown(schedule: &str) -> Refusal {
    Refusal::not_found("schedule", schedule)
        .hint("name it as PROJECT/SCHEDULE; `heddle schedule list` shows them")
}

fn shown(schedule: Stored) -> Schedule {
    Schedule {
        id: schedule.id.0,
        project: schedule.project,
        name: schedule.name,
        action: schedule.action,
        environment: schedule.environment,
        tenant: schedule.tenant,
        cron: schedule.cron,
        zone: schedule.zone,
        catch_up: schedule.catch_up,
        enabled: schedule.enabled,
        version: schedule.version,
        next_at: schedule.next_at,
        last_at: schedule.last_at,
        last_run: schedule.last_run.map(|run| run.0),
        last_note: schedule.last_note,
        created_at: schedule.created_at,
    }
}

//! Maintenance windows: what people set, and what they hold.

use database::maintenance_window::{MaintenanceWindow as Stored, NewMaintenanceWindow as Row};
use jiff::{SignedDuration, Timestamp};
use model::access::Permission;
use model::maintenance::{LONGEST, Opening, Window};
use model::{EnvironmentId, EnvironmentPath, MaintenanceWindowId, Slug};
use protocol::api::{MaintenanceWindow, NewMaintenanceWindow, Page};

use crate::once::Once;
use crate::schedule::{environment_of, timetable, written};
use crate::{Asked, Control, Kind, Refusal, Result, Slice};

impl Control {
    pub async fn create_maintenance_window(
        &self,
        asked: &Asked,
        new: NewMaintenanceWindow,
    ) -> Result<MaintenanceWindow> {
        let name: Slug = new.name.parse()?;
        let zone = new.zone.as_deref().unwrap_or("UTC");
        let opens = timetable(&new.cron, zone)?;
        if !(1..=LONGEST.as_mins()).contains(&i64::from(new.minutes)) {
            let detail = format!("a window must be open for 1 to {} minutes", LONGEST.as_mins());
            return Err(Refusal::invalid(detail).into());
        }
        let once = Once::new(asked, "maintenance window", "", &new)?;
        let mut database = self.database().await?;
        let project = crate::project::find(&database, &new.project).await?;
        self.permit(&database, project.id, &project.name, Permission::Administer, "set maintenance windows")
            .await?;
        if let Some(made) = once.made(&database).await? {
            return self.maintenance_window(&made.to_string()).await;
        }
        let environment = match &new.environment {
            Some(name) => Some(environment_of(&database, &project, name).await?),
            None => None,
        };
        let id = MaintenanceWindowId::new();
        let row = Row {
            id,
            project: project.id,
            environment,
            name: name.as_str(),
            cron: &new.cron,
            zone: &written(&opens, zone),
            minutes: new.minutes,
        };
        let transaction = database::begin(&mut database).await?;
        match database::maintenance_window::insert(&transaction, &row).await {
            Ok(()) if once.keep(&transaction, id.0).await? => {
                database::commit(transaction).await?;
                return self.maintenance_window(&id.to_string()).await;
            }
            Ok(()) => {}
            Err(error) if error.taken().is_some() => {}
            Err(error) => return Err(error.into()),
        }
        drop(transaction);
        // The same request may have been quicker than itself.
        if let Some(made) = once.made(&database).await? {
            return self.maintenance_window(&made.to_string()).await;
        }
        let detail = format!("there is a maintenance window {}/{name} already", project.name);
        Err(Refusal::new(Kind::Taken, detail).hint("choose another name").into())
    }

    /// All, or one project's; by their names as `PROJECT/NAME`.
    pub async fn maintenance_windows(
        &self,
        project: Option<&str>,
        slice: &Slice<EnvironmentPath>,
    ) -> Result<Page<MaintenanceWindow>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let now = database::clock::now(&database).await?;
        let after = slice.after.as_ref().map(|after| (after.project.as_str(), after.name.as_str()));
        let windows = database::maintenance_window::list(&database, project, after, slice.rows()).await?;
        let windows = windows.into_iter().map(|window| shown(window, now)).collect::<Result<Vec<_>>>()?;
        Ok(slice.page(windows, |window| format!("{}/{}", window.project, window.name)))
    }

    /// `window` is `PROJECT/NAME` or an id.
    pub async fn maintenance_window(&self, window: &str) -> Result<MaintenanceWindow> {
        let database = self.database().await?;
        let now = database::clock::now(&database).await?;
        shown(find(&database, window).await?, now)
    }

    /// What it holds already goes on waiting until the time it was held for.
    pub async fn remove_maintenance_window(&self, window: &str) -> Result<()> {
        let database = self.database().await?;
        let found = find(&database, window).await?;
        let what = "remove maintenance windows";
        self.permit(&database, found.project_id, &found.project, Permission::Administer, what).await?;
        if database::maintenance_window::remove(&database, found.id).await? {
            return Ok(());
        }
        Err(unknown(window).into())
    }
}

/// Until when a run of the kind waits that is asked for now; None: it does not.
pub(crate) async fn held_until(
    on: &impl database::On,
    kind: model::run::RunKind,
    environment: EnvironmentId,
) -> Result<Option<Timestamp>> {
    if !model::maintenance::disruptive(kind) {
        return Ok(None);
    }
    let windows = database::maintenance_window::of_environment(on, environment).await?;
    let windows = windows.iter().map(window).collect::<Result<Vec<_>, _>>()?;
    Ok(model::maintenance::held_until(&windows, database::clock::now(on).await?))
}

fn window(stored: &Stored) -> Result<Window, Refusal> {
    let length = SignedDuration::from_mins(i64::from(stored.minutes));
    Ok(Window { opens: timetable(&stored.cron, &stored.zone)?, length })
}

async fn find(on: &impl database::On, window: &str) -> Result<Stored> {
    Ok(database::maintenance_window::find(on, window).await?.ok_or_else(|| unknown(window))?)
}

fn unknown(window: &str) -> Refusal {
    Refusal::not_found("maintenance window", window)
        .hint("name it as PROJECT/WINDOW; `heddle maintenance list` shows them")
}

fn shown(stored: Stored, now: Timestamp) -> Result<MaintenanceWindow> {
    let (open_until, opens_at) = match window(&stored)?.at(now) {
        Opening::Open { until } => (Some(until), None),
        Opening::Closed { opens } => (None, Some(opens)),
    };
    Ok(MaintenanceWindow {
        id: stored.id.0,
        project: stored.project,
        name: stored.name,
        environment: stored.environment,
        cron: stored.cron,
        zone: stored.zone,
        minutes: stored.minutes,
        open_until,
        opens_at,
        created_at: stored.created_at,
    })
}

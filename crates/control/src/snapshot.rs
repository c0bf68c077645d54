use database::run::About;
use jiff::{SignedDuration, Timestamp};
use model::access::Permission;
use model::snapshot::{SnapshotKind, SnapshotState};
use model::tenant::TenantState;
use model::{Slug, SnapshotId};
use protocol::api::{NewSnapshot, Page, Snapshot};
use serde_json::json;

use crate::once::{Once, Queued};
use crate::{Asked, Control, Kind, Refusal, Result, Slice};

/// Ten years, with their leap days.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3653);

const LONGEST_NOTE: usize = 500;

impl Control {
    /// Kept to the end of the retention window, or to `expires_at`, or as long as
    /// it is pinned.
    pub async fn create_snapshot(&self, asked: &Asked, tenant: &str, new: NewSnapshot) -> Result<Snapshot> {
        let mut connection = self.database().await?;
        let tenant = crate::tenant::find(&connection, tenant).await?;
        let once = Once::new(asked, "snapshot", &tenant.id.to_string(), &new)?;
        if let Some(run) = once.before(&connection).await? {
            return taken_by(&connection, &run).await;
        }
        let what = format!("take snapshots of {}", tenant.name);
        let place = &tenant.environment;
        self.permit_in(&connection, tenant.environment_id, place, Permission::Test, &what).await?;
        let now = database::clock::now(&connection).await?;
        let name: Slug = match &new.name {
            Some(name) => name.parse()?,
            None => now.strftime("%Y%m%d-%H%M%S").to_string().parse()?,
        };
        let expires_at = self.expiry(now, new.expires_at)?;
        let note = checked_note(new.note.as_deref())?;
        serves(&tenant)?;
        let (id, kind) = (SnapshotId::new(), new.kind.unwrap_or(SnapshotKind::Manual));
        let transaction = database::begin(&mut connection).await?;
        let row = database::snapshot::New {
            id,
            tenant: tenant.id,
            name: &name,
            kind,
            expires_at,
            note,
            pinned: new.pinned,
        };
        match database::snapshot::insert(&transaction, &row).await {
            Ok(()) => {}
            Err(error) if error.taken().is_some() => {
                drop(transaction);
                // The same request may have been quicker than itself.
                if let Some(run) = once.before(&connection).await? {
                    return taken_by(&connection, &run).await;
                }
                let detail = format!("{} has a snapshot named {name} already", tenant.name);
                return Err(Refusal::new(Kind::Taken, detail).hint("choose another name").into());
            }
            Err(error) => return Err(error.into()),
        }
        match once.queue(&transaction, tenant.project_id, About::Snapshot(tenant.id, id), json!({})).await? {
            Queued::New(_) => {
                database::commit(transaction).await?;
                self.queued();
                shown(get(&connection, id).await?)
            }
            Queued::Before(run) => {
                drop(transaction);
                taken_by(&connection, &run).await
            }
            Queued::Busy(kind) => Err(crate::run::busy(&tenant.name, kind)),
        }
    }

    /// A tenant's, newest first.
    pub async fn snapshots(&self, tenant: &str, slice: &Slice<SnapshotId>) -> Result<Page<Snapshot>> {
        let database = self.database().await?;
        let tenant = crate::tenant::find(&database, tenant).await?;
        let snapshots = database::snapshot::list(&database, tenant.id, slice.after, slice.rows()).await?;
        let snapshots: Result<Vec<Snapshot>> = snapshots.into_iter().map(shown).collect();
        Ok(slice.page(snapshots?, |snapshot| snapshot.id.to_string()))
    }

    /// `snapshot` is a name or an id of one of the tenant's.
    pub async fn snapshot(&self, tenant: &str, snapshot: &str) -> Result<Snapshot> {
        let database = self.database().await?;
        let tenant = crate::tenant::find(&database, tenant).await?;
        shown(find(&database, &tenant, snapshot).await?)
    }

    /// Keeps it until it is unpinned, or no longer than its expiry says. The
    /// repository hears of it with the next expire run, which is queued for that;
    /// until then it keeps what it was told before.
    pub async fn pin_snapshot(&self, tenant: &str, snapshot: &str, pinned: bool) -> Result<Snapshot> {
        let database = self.database().await?;
        let tenant = crate::tenant::find(&database, tenant).await?;
        let verb = if pinned { "pin" } else { "unpin" };
        let what = format!("{verb} snapshots of {}", tenant.name);
        let place = &tenant.environment;
        self.permit_in(&database, tenant.environment_id, place, Permission::Test, &what).await?;
        let found = find(&database, &tenant, snapshot).await?;
        if matches!(found.state, SnapshotState::Failed | SnapshotState::Expired) {
            let detail = format!("the snapshot {} of {} is {}", found.name, tenant.name, found.state);
            return Err(Refusal::wrong_state(detail).hint("only one that can be restored to is kept").into());
        }
        // Asked twice, it is so already; expired just now, it says so.
        database::snapshot::pin(&database, found.id, pinned).await?;
        let now = get(&database, found.id).await?;
        if now.pinned != pinned {
            let detail = format!("the snapshot {} of {} is {}", now.name, tenant.name, now.state);
            return Err(Refusal::wrong_state(detail).into());
        }
        shown(now)
    }

    pub(crate) fn expiry(&self, now: Timestamp, asked: Option<Timestamp>) -> Result<Timestamp> {
        match asked {
            None => Ok(now.checked_add(self.settings().retention.window()).unwrap_or(Timestamp::MAX)),
            Some(at) if at <= now => {
                Err(Refusal::invalid(format!("the expiry {at} is not in the future")).into())
            }
            Some(at) if at.duration_since(now) > LONGEST => {
                Err(Refusal::invalid(format!("the expiry {at} is more than ten years away"))
                    .hint("pin the snapshot instead: it is kept until it is unpinned")
                    .into())
            }
            Some(at) => Ok(at),
        }
    }
}

fn checked_note(note: Option<&str>) -> Result<Option<&str>, Refusal> {
    match note.map(str::trim) {
        Some(note) if note.is_empty() || note.chars().count() > LONGEST_NOTE => {
            Err(Refusal::invalid(format!("a snapshot's note must have 1 to {LONGEST_NOTE} characters")))
        }
        note => Ok(note),
    }
}

/// Refuses a tenant that has no database to act on.
pub(crate) fn serves(tenant: &database::tenant::Tenant) -> Result<(), Refusal> {
    if matches!(tenant.state, TenantState::Active | TenantState::Suspended) {
        return Ok(());
    }
    let detail = format!("{} is {}, neither active nor suspended", tenant.name, tenant.state);
    Err(match tenant.state {
        TenantState::Provisioning => Refusal::wrong_state(detail).hint("wait until it is provisioned"),
        TenantState::Draft => Refusal::wrong_state(detail).hint("its provision failed; retry that run"),
        _ => Refusal::wrong_state(detail),
    })
}

pub(crate) async fn find(
    on: &impl database::On,
    tenant: &database::tenant::Tenant,
    snapshot: &str,
) -> Result<database::snapshot::Snapshot> {
    if let Some(found) = database::snapshot::find(on, tenant.id, snapshot).await? {
        return Ok(found);
    }
    // An id tells more: whose it is.
    if let Ok(id) = snapshot.parse::<SnapshotId>()
        && let Some(other) = database::snapshot::get(on, id).await?
    {
        let detail = format!("the snapshot {id} is one of {}, not of {}", other.tenant, tenant.name);
        return Err(Refusal::invalid(detail).hint("a tenant has only its own snapshots").into());
    }
    Err(Refusal::new(Kind::NotFound, format!("{} has no snapshot {snapshot}", tenant.name))
        .hint(format!("`heddle snapshot list {}` shows them", tenant.name))
        .into())
}

pub(crate) async fn get(on: &impl database::On, id: SnapshotId) -> Result<database::snapshot::Snapshot> {
    database::snapshot::get(on, id).await?.ok_or_else(|| Refusal::not_found("snapshot", id).into())
}

/// Refuses a snapshot that cannot be restored to now.
pub(crate) fn restorable(snapshot: &database::snapshot::Snapshot) -> Result<(), Refusal> {
    let (name, tenant) = (&snapshot.name, &snapshot.tenant);
    let refuse = |what: &str, hint: &str| {
        Err(Refusal::wrong_state(format!("the snapshot {name} of {tenant} {what}")).hint(hint))
    };
    match snapshot.state {
        SnapshotState::Ready => Ok(()),
        SnapshotState::Creating => refuse("is still being taken", "wait for its run"),
        SnapshotState::Restoring => {
            refuse("is being restored to", "wait for that restore, or cancel its run")
        }
        SnapshotState::Failed => refuse("has failed", "its run says why; choose another, or a time"),
        SnapshotState::Expired => refuse("has expired", "choose another, or a time"),
    }
}

/// Refuses a snapshot that cannot be looked into. A restore to it does not
/// stand in the way.
pub(crate) fn readable(snapshot: &database::snapshot::Snapshot) -> Result<(), Refusal> {
    match snapshot.state {
        SnapshotState::Restoring => Ok(()),
        _ => restorable(snapshot),
    }
}

async fn taken_by(on: &impl database::On, run: &database::run::Run) -> Result<Snapshot> {
    let id = run.snapshot_id.ok_or_else(|| Refusal::not_found("snapshot of the run", run.id))?;
    shown(get(on, id).await?)
}

fn shown(snapshot: database::snapshot::Snapshot) -> Result<Snapshot> {
    let run = crate::run::of(snapshot.run_id, "snapshot", snapshot.id)?;
    Ok(Snapshot {
        id: snapshot.id.0,
        tenant: snapshot.tenant,
        name: snapshot.name,
        state: snapshot.state,
        kind: snapshot.kind,
        lsn: snapshot.lsn.map(|lsn| lsn.to_string()),
        wal_file: snapshot.wal_file,
        backup: snapshot.backup_id.map(|id| id.0),
        size: snapshot.size,
        missing_files: snapshot.missing_files,
        run: run.0,
        taken_at: snapshot.taken_at,
        note: snapshot.note,
        pinned: snapshot.pinned,
        expires_at: Some(snapshot.expires_at),
        created_at: snapshot.created_at,
    })
}

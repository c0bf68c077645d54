//! How things are written on a page.

use std::fmt::{self, Display};

use askama::filters::HtmlSafe;
use jiff::Timestamp;
use model::access::{Permission, Role};
use model::alert::{AlertKind, Severity};
use model::policy::{Act, ApprovalState};
use model::restore::RestoreState;
use model::run::{Approval, RunKind, RunState};
use model::schedule::Action;
use model::snapshot::SnapshotState;
use model::tenant::{Serving, TenantState};
use protocol::api::{Run, Tenant};
use protocol::people::ApiKey;
use uuid::Uuid;

/// A state as a coloured word. Made only of fixed texts.
pub(crate) struct Pill(&'static str, &'static str);

impl Display for Pill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<span class="pill {}">{}</span>"#, self.0, self.1)
    }
}

impl HtmlSafe for Pill {}

/// What a visitor of the tenant would find.
pub(crate) fn tenant_pill(tenant: &Tenant) -> Pill {
    match (tenant.state, tenant.serving) {
        (TenantState::Active, Serving::Serving) => Pill("good", "Serving"),
        (TenantState::Active, Serving::Starting) => Pill("busy", "Starting"),
        (TenantState::Active, Serving::Failing) => Pill("bad", "Failing"),
        (TenantState::Active, Serving::Stopped) => Pill("warn", "Stopped"),
        (TenantState::Provisioning, _) => Pill("busy", "Being made"),
        (TenantState::Suspended, _) => Pill("warn", "Suspended"),
        (TenantState::Draft, _) => Pill("bad", "Not made"),
        (TenantState::Archived, _) => Pill("", "Archived"),
    }
}

pub(crate) fn run_pill(state: &RunState) -> Pill {
    match state {
        RunState::Waiting => Pill("", "Waiting"),
        RunState::Queued => Pill("", "Queued"),
        RunState::Running => Pill("busy", "Running"),
        RunState::Succeeded => Pill("good", "Succeeded"),
        RunState::Failed => Pill("bad", "Failed"),
        RunState::Cancelled => Pill("warn", "Cancelled"),
        RunState::Dead => Pill("bad", "Dead"),
    }
}

pub(crate) fn snapshot_pill(state: &SnapshotState) -> Pill {
    match state {
        SnapshotState::Creating => Pill("busy", "Creating"),
        SnapshotState::Ready => Pill("good", "Ready"),
        SnapshotState::Restoring => Pill("busy", "Restoring"),
        SnapshotState::Failed => Pill("bad", "Failed"),
        SnapshotState::Expired => Pill("", "Expired"),
    }
}

pub(crate) fn restore_pill(state: &RestoreState) -> Pill {
    match state {
        RestoreState::Planning => Pill("busy", "Planning"),
        RestoreState::Planned => Pill("warn", "Waits for your yes"),
        RestoreState::Materialising => Pill("busy", "Making the new database"),
        RestoreState::Switching => Pill("busy", "Switching"),
        RestoreState::Switched => Pill("busy", "Starting on it"),
        RestoreState::Succeeded => Pill("good", "Restored"),
        RestoreState::Failed => Pill("bad", "Failed"),
    }
}

/// A run's state; of one that waits, for what.
pub(crate) fn run_state(run: &Run) -> Pill {
    match run.approval {
        Approval::Pending if run.state == RunState::Waiting => Pill("warn", "Waits for approval"),
        _ => run_pill(&run.state),
    }
}

pub(crate) fn approval_pill(state: &ApprovalState) -> Pill {
    match state {
        ApprovalState::Pending => Pill("warn", "Waits"),
        ApprovalState::Granted => Pill("good", "Approved"),
        ApprovalState::Refused => Pill("bad", "Rejected"),
        ApprovalState::Expired => Pill("", "Expired"),
        ApprovalState::Withdrawn => Pill("", "Withdrawn"),
    }
}

pub(crate) fn severity_pill(severity: &Severity) -> Pill {
    match severity {
        Severity::Info => Pill("busy still", "Info"),
        Severity::Warning => Pill("warn", "Warning"),
        Severity::Critical => Pill("bad", "Critical"),
    }
}

/// Whether a key is good for anything.
pub(crate) fn key_pill(key: &ApiKey, now: &Timestamp) -> Pill {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => Pill("", "Revoked"),
        (None, Some(at)) if at <= *now => Pill("", "Expired"),
        _ => Pill("good", "Good"),
    }
}

pub(crate) fn alert_title(kind: &AlertKind) -> &'static str {
    match kind {
        AlertKind::QueueDepth => "The queue is long",
        AlertKind::StaleRun => "A run gives no sign",
        AlertKind::DeadRun => "A run was given up",
        AlertKind::LostWorker => "A worker is silent",
        AlertKind::BackupFailed => "A backup failed",
        AlertKind::BackupOverdue => "A backup is overdue",
        AlertKind::ProductionRestore => "Production is being restored",
        AlertKind::DiskFull => "A disk fills up",
        AlertKind::WalGrowth => "WAL piles up",
        AlertKind::WalLag => "Repository behind",
        AlertKind::Connections => "Connections run out",
        AlertKind::OldTransaction => "A transaction is open for long",
    }
}

/// What a policy's act is, after "to".
pub(crate) fn act(act: &Act) -> &'static str {
    match act {
        Act::Restore => "Restore a tenant",
        Act::Snapshot => "Take a snapshot",
        Act::Provision => "Make a tenant",
        Act::Peek => "Peek into a tenant",
        Act::ArchiveTenant => "Archive a tenant",
        Act::ShredTenant => "Shred a tenant",
        Act::DestroyEnvironment => "Destroy an environment",
        Act::SetSecret => "Set a secret",
        Act::ChangePolicy => "Change the policies",
    }
}

/// What a role lets its members do.
pub(crate) fn role(role: &Role) -> &'static str {
    match role {
        Role::Owner => "everything, and makes owners",
        Role::Admin => "production, members, keys, schedules",
        Role::Developer => "builds, environments and tenants that are not production",
        Role::Tester => "snapshots and restores of what is not production",
        Role::Viewer => "sees everything, changes nothing",
    }
}

/// What a permission lets its holder do.
pub(crate) fn permission(permission: &Permission) -> &'static str {
    match permission {
        Permission::Read => "see the project and all that is in it",
        Permission::Test => "snapshots, restores and runs outside production",
        Permission::Develop => "builds, environments and tenants outside production",
        Permission::Operate => "the same in production",
        Permission::Administer => "members, keys, secrets, schedules, policies",
        Permission::Own => "make and unmake owners",
    }
}

/// What a schedule does, as a title.
pub(crate) fn action(action: &Action) -> &'static str {
    match action {
        Action::Snapshot => "Snapshot",
        Action::Backup => "Back up",
        Action::Expire => "Drop old history",
        Action::Probe => "Probe",
    }
}

/// Words in a row: `owner or admin`.
pub(crate) fn either<T: Display>(words: &[T]) -> String {
    words.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}

/// Seconds as people say them: `a day`, `90 min`.
pub(crate) fn span(seconds: &i32) -> String {
    match seconds {
        86_400 => "a day".to_owned(),
        s if s % 86_400 == 0 => format!("{} days", s / 86_400),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s => format!("{} min", s / 60),
    }
}

/// What a run does, as a title.
pub(crate) fn run_title(run: &Run) -> String {
    let what = match run.kind {
        RunKind::Build => "Build a template",
        RunKind::Provision => "Make the tenant",
        RunKind::Backup => "Back up",
        RunKind::Snapshot => "Snapshot",
        RunKind::PlanRestore => "Plan a restore",
        RunKind::Restore => "Restore",
        RunKind::Peek => "Open a peek",
        RunKind::Expire => "Drop what is past its retention",
        RunKind::Shred => "Destroy its key and all that there is of it",
        RunKind::Probe => "Probe",
    };
    what.to_owned()
}

/// A time as people say it, exact on hover and for machines.
pub(crate) struct Ago(Timestamp, Timestamp);

pub(crate) fn ago(at: &Timestamp) -> Ago {
    Ago(*at, Timestamp::now())
}

impl Display for Ago {
    /// The same words as the console's script writes; coarse, so that a live
    /// page is not sent again every second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at, now) = self;
        write!(
            f,
            r#"<time data-ago datetime="{}" title="{}">"#,
            at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            exact(at)
        )?;
        let (past, seconds) = (at <= now, (now.as_second() - at.as_second()).unsigned_abs());
        let (amount, unit) = match seconds {
            0..60 => return f.write_str(if past { "just now</time>" } else { "in a moment</time>" }),
            60..3600 => (seconds / 60, "min"),
            3600..86400 => (seconds / 3600, "h"),
            _ => (seconds / 86400, "d"),
        };
        if past { write!(f, "{amount} {unit} ago</time>") } else { write!(f, "in {amount} {unit}</time>") }
    }
}

impl HtmlSafe for Ago {}

/// To the second, in UTC.
pub(crate) fn exact(at: &Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M:%S UTC").to_string()
}

pub(crate) fn clock(at: &Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// How long a run took, or has been running.
pub(crate) fn took(run: &Run) -> String {
    let Some(start) = run.started_at else {
        return "–".into();
    };
    let Some(end) = run.ended_at else {
        return "running".into();
    };
    let seconds = end.duration_since(start).as_secs_f64().max(0.0);
    match seconds {
        0.0..10.0 => format!("{seconds:.1} s"),
        10.0..60.0 => format!("{seconds:.0} s"),
        _ => format!("{} min {:02} s", seconds as u64 / 60, seconds as u64 % 60),
    }
}

/// Bytes in powers of 1000, three digits at most.
pub(crate) fn bytes(count: u64) -> String {
    let mut amount = count as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if amount < 999.5 || unit == "TB" {
            let digits = usize::from(amount < 9.95 && unit != "B");
            return format!("{amount:.digits$} {unit}");
        }
        amount /= 1000.0;
    }
    unreachable!("the last unit takes any amount")
}

pub(crate) fn signed_bytes(count: &i64) -> String {
    bytes(u64::try_from(*count).unwrap_or(0))
}

/// A limit on storage, which is set in whole GiB.
pub(crate) fn storage(limit: &i64) -> String {
    let gib = 1 << 30;
    if limit % gib == 0 { format!("{} GiB", limit / gib) } else { signed_bytes(limit) }
}

/// The end of an id, which tells two apart; the whole is its title.
pub(crate) struct Short(Uuid);

pub(crate) fn short(id: &Uuid) -> Short {
    Short(*id)
}

impl Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.to_string();
        write!(f, r#"<code title="{whole}">{}</code>"#, &whole[whole.len() - 8..])
    }
}

impl HtmlSafe for Short {}

/// A run's progress in percent.
pub(crate) fn percent(run: &Run) -> Option<u8> {
    match run.state {
        RunState::Succeeded => Some(100),
        _ => run.progress.map(|progress| (progress.clamp(0.0, 1.0) * 100.0) as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_few_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_340_000, "12 MB"),
            (999_600, "1.0 MB"),
            (5 << 30, "5.4 GB"),
        ];
        for (count, written) in cases {
            assert_eq!(bytes(count), written);
        }
    }

    #[test]
    fn times_are_coarse_and_exact_on_hover() {
        let at: Timestamp = "2026-11-21T11:35:51.5Z".parse().unwrap();
        let text = |seconds: i64| {
            let now = at + jiff::SignedDuration::from_secs(seconds);
            let whole = Ago(at, now).to_string();
            assert!(whole.contains(r#"datetime="2026-11-21T11:35:51Z""#), "{whole}");
            assert!(whole.contains(r#"title="21 Nov 2026, 11:35:51 UTC""#), "{whole}");
            whole.split_once('>').unwrap().1.trim_end_matches("</time>").to_owned()
        };
        assert_eq!(text(20), "just now");
        assert_eq!(text(200), "3 min ago");
        assert_eq!(text(7300), "2 h ago");
        assert_eq!(text(200_000), "2 d ago");
        assert_eq!(text(-400), "in 6 min");
    }
}

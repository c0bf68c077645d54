//! Alerts: what somebody should look at, judged from what was read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::run::RunKind;
use crate::{ProjectId, RunId, TenantId};

crate::written_enum! {
    pub enum AlertKind {
        /// More runs wait than workers get through.
        QueueDepth = "queue_depth",
        /// A run is under way without a sign of its worker, or was taken from one before.
        StaleRun = "stale_run",
        /// A run was given up after it had lost its worker too often.
        DeadRun = "dead_run",
        /// A worker with clusters on its host is silent.
        LostWorker = "lost_worker",
        /// A tenant's last backup failed.
        BackupFailed = "backup_failed",
        /// A tenant has no backup that is young enough.
        BackupOverdue = "backup_overdue",
        /// Somebody restores a tenant in production.
        ProductionRestore = "production_restore",
        /// A disk of a worker's host fills up.
        DiskFull = "disk_full",
        /// A cell keeps more WAL than it should: its archive does not keep up.
        WalGrowth = "wal_growth",
        /// What a cell wrote is not in the repository after a while, although it is streamed.
        WalLag = "wal_lag",
        /// The management database runs out of connections.
        Connections = "connections",
        /// A transaction on the management database is open for long.
        OldTransaction = "old_transaction",
    }
}

crate::written_enum! {
    pub enum Severity {
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
}

crate::written_enum! {
    pub enum AlertState {
        /// Its condition holds, or held a moment ago.
        Open = "open",
        /// Open, and somebody has said that they look at it.
        Acknowledged = "acknowledged",
        /// Its condition has not held for [`QUIET`]; set by control alone.
        Resolved = "resolved",
    }
}

/// An alert resolves when its condition has not held for so long.
pub const QUIET: SignedDuration = SignedDuration::from_secs(60);

/// Runs that were given up, and workers that fell silent, are told of for so long.
pub const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A run that says nothing for so long, though its worker lives, is stale.
pub const SILENT_RUN: SignedDuration = SignedDuration::from_mins(30);

/// A lease is past its end by so much only if nobody takes it back.
pub const OVERDUE_LEASE: SignedDuration = SignedDuration::from_mins(1);

/// A finished or failed restore is told of for so long.
pub const RESTORE_TOLD: SignedDuration = SignedDuration::from_mins(15);

/// What alerts are opened by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Queued runs.
    pub queue_depth: u64,
    /// Of a disk, used; critical from [`Thresholds::DISK_CRITICAL`] on.
    pub disk_percent: u16,
    /// Bytes of WAL in one cell.
    pub wal_bytes: u64,
    /// Since when a cell's WAL is not durable in the repository.
    pub wal_lag: SignedDuration,
    /// Of the management database's connections, used.
    pub connections_percent: u16,
    /// Of a transaction on the management database.
    pub transaction_age: SignedDuration,
    /// Of a tenant's newest backup.
    pub backup_age: SignedDuration,
}

impl Thresholds {
    pub const DISK_CRITICAL: f64 = 95.0;
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            queue_depth: 50,
            disk_percent: 85,
            wal_bytes: 1 << 30,
            wal_lag: SignedDuration::from_mins(1),
            connections_percent: 80,
            transaction_age: SignedDuration::from_mins(10),
            backup_age: SignedDuration::from_hours(30),
        }
    }
}

/// What was read, at one instant.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub queued: u64,
    pub stale_runs: Vec<StaleRun>,
    pub dead_runs: Vec<DeadRun>,
    pub lost_workers: Vec<LostWorker>,
    pub backups: Vec<Backups>,
    pub restores: Vec<ProductionRestore>,
    pub disks: Vec<Disk>,
    pub wal: Vec<Wal>,
    pub server: Server,
}

#[derive(Debug, Clone)]
pub struct StaleRun {
    pub run: RunId,
    pub kind: RunKind,
    pub project: ProjectId,
    /// Who has it now.
    pub worker: String,
    /// How often it was taken from a worker that gave no sign.
    pub losses: i32,
    pub silent: SignedDuration,
}

#[derive(Debug, Clone)]
pub struct DeadRun {
    pub run: RunId,
    pub kind: RunKind,
    pub project: ProjectId,
    pub tenant: Option<String>,
    pub reason: String,
}

#[derive(Debug, Clone)]
pub struct LostWorker {
    pub name: String,
    pub since: Timestamp,
    /// Clusters on its host that serve tenants.
    pub clusters: u64,
}

/// A tenant's backups.
#[derive(Debug, Clone)]
pub struct Backups {
    pub tenant: TenantId,
    pub name: String,
    pub project: ProjectId,
    /// Since the newest backup, or since it is served if there is none.
    pub age: SignedDuration,
    /// Why the last try failed, if it did.
    pub failed: Option<String>,
}

#[derive(Debug, Clone)]
pub struct ProductionRestore {
    /// Of the restore.
    pub id: crate::RestoreId,
    pub tenant: String,
    pub project: ProjectId,
    pub state: crate::restore::RestoreState,
}

#[derive(Debug, Clone)]
pub struct Disk {
    pub worker: String,
    pub place: Place,
    pub total: u64,
    pub free: u64,
}

crate::written_enum! {
    /// What a worker has on a disk.
    pub enum Place {
        Data = "data",
        Repository = "repository",
    }
}

#[derive(Debug, Clone)]
pub struct Wal {
    pub tenant: TenantId,
    pub name: String,
    pub project: ProjectId,
    pub bytes: u64,
    /// How far the repository is behind it; None: it is not streamed.
    pub lag: Option<Lag>,
}

/// What of a cell's WAL is not durable in the repository.
#[derive(Debug, Clone, Copy)]
pub struct Lag {
    pub bytes: u64,
    pub since: SignedDuration,
}

/// The management database.
#[derive(Debug, Clone, Copy, Default)]
pub struct Server {
    pub connections: u64,
    pub most_connections: u64,
    pub oldest_transaction: SignedDuration,
}

/// What an alert is about: one is open for each at a time.
pub type Key = (AlertKind, String);

/// A condition that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    /// None: the whole installation.
    pub project: Option<ProjectId>,
    pub detail: String,
}

/// Every condition that holds. What is `open` already stays so until its value
/// is well below what opened it, so that it does not come and go.
pub fn evaluate(facts: &Facts, thresholds: &Thresholds, open: &BTreeSet<Key>) -> BTreeMap<Key, Finding> {
    let mut judge = Judge { open, found: BTreeMap::new() };
    judge.queue(facts, thresholds);
    judge.runs(facts);
    judge.workers(facts, thresholds);
    judge.tenants(facts, thresholds);
    judge.server(&facts.server, thresholds);
    judge.found
}

/// Below this part of what opens it, an alert's condition has ended.
const CLEARED: f64 = 0.9;

struct Judge<'a> {
    open: &'a BTreeSet<Key>,
    found: BTreeMap<Key, Finding>,
}

impl Judge<'_> {
    fn find(
        &mut self,
        kind: AlertKind,
        subject: impl ToString,
        severity: Severity,
        project: Option<ProjectId>,
        detail: String,
    ) {
        self.found.insert((kind, subject.to_string()), Finding { severity, project, detail });
    }

    /// Whether a value is past what opens an alert or, once it is open, not
    /// well below yet.
    fn past(&self, kind: AlertKind, subject: &str, value: f64, opens_past: f64) -> bool {
        let open = self.open.contains(&(kind, subject.to_owned()));
        value > if open { opens_past * CLEARED } else { opens_past }
    }

    fn queue(&mut self, facts: &Facts, thresholds: &Thresholds) {
        let (kind, subject) = (AlertKind::QueueDepth, "queue");
        if self.past(kind, subject, facts.queued as f64, thresholds.queue_depth as f64) {
            let detail = format!("{} runs wait for a worker; `heddle status` shows who works", facts.queued);
            self.find(kind, subject, Severity::Warning, None, detail);
        }
    }

    fn runs(&mut self, facts: &Facts) {
        for run in &facts.stale_runs {
            let detail = if run.losses > 0 {
                format!(
                    "the {} run was taken from workers that gave no sign, {} times; the worker {} has it now",
                    run.kind, run.losses, run.worker
                )
            } else {
                format!(
                    "the {} run on the worker {} has said nothing for {} min; look at its log, or cancel it",
                    run.kind,
                    run.worker,
                    run.silent.as_mins()
                )
            };
            self.find(AlertKind::StaleRun, run.run, Severity::Warning, Some(run.project), detail);
        }
        for run in &facts.dead_runs {
            let of = run.tenant.as_ref().map(|tenant| format!(" of {tenant}")).unwrap_or_default();
            let detail = format!(
                "the {} run{of} was given up: {}; `heddle run retry` tries it again",
                run.kind, run.reason
            );
            self.find(AlertKind::DeadRun, run.run, Severity::Critical, Some(run.project), detail);
        }
        for restore in &facts.restores {
            let detail =
                format!("a restore of {}, which is production, is {}", restore.tenant, restore.state);
            let project = Some(restore.project);
            self.find(AlertKind::ProductionRestore, restore.id, Severity::Info, project, detail);
        }
    }

    fn workers(&mut self, facts: &Facts, thresholds: &Thresholds) {
        for worker in &facts.lost_workers {
            let detail = format!(
                "the worker {} is silent since {}; {} clusters are on its host",
                worker.name, worker.since, worker.clusters
            );
            let severity = if worker.clusters > 0 { Severity::Critical } else { Severity::Warning };
            self.find(AlertKind::LostWorker, &worker.name, severity, None, detail);
        }
        for disk in facts.disks.iter().filter(|disk| disk.total > 0) {
            let (kind, subject) = (AlertKind::DiskFull, format!("{}:{}", disk.worker, disk.place));
            let used = 100.0 * (1.0 - disk.free as f64 / disk.total as f64);
            if !self.past(kind, &subject, used, f64::from(thresholds.disk_percent)) {
                continue;
            }
            let severity =
                if used > Thresholds::DISK_CRITICAL { Severity::Critical } else { Severity::Warning };
            let detail = format!(
                "the disk with the {} folder of the worker {} is {used:.0} % full; {} MiB are free",
                disk.place,
                disk.worker,
                disk.free >> 20
            );
            self.find(kind, &subject, severity, None, detail);
        }
    }

    fn tenants(&mut self, facts: &Facts, thresholds: &Thresholds) {
        for backups in &facts.backups {
            let project = Some(backups.project);
            if let Some(reason) = &backups.failed {
                let detail = format!("the last backup of {} failed: {reason}", backups.name);
                self.find(AlertKind::BackupFailed, backups.tenant, Severity::Warning, project, detail);
            }
            // Ages only fall with a new backup: nothing to hold on to.
            if backups.age > thresholds.backup_age {
                let detail =
                    format!("{} has no backup of the last {} h", backups.name, backups.age.as_hours());
                self.find(AlertKind::BackupOverdue, backups.tenant, Severity::Critical, project, detail);
            }
        }
        for wal in &facts.wal {
            let (kind, subject) = (AlertKind::WalGrowth, wal.tenant.to_string());
            if self.past(kind, &subject, wal.bytes as f64, thresholds.wal_bytes as f64) {
                let detail = format!(
                    "the cell of {} keeps {} MiB of WAL: it is not archived as fast as it is written",
                    wal.name,
                    wal.bytes >> 20
                );
                self.find(kind, &subject, Severity::Warning, Some(wal.project), detail);
            }
            let Some(lag) = wal.lag else { continue };
            let kind = AlertKind::WalLag;
            if self.past(kind, &subject, lag.since.as_secs_f64(), thresholds.wal_lag.as_secs_f64()) {
                let detail = format!(
                    "what {} wrote in the last {} s is not in the repository ({} KiB of WAL): with its host it \
                     would be lost; `heddle doctor` looks at the repository",
                    wal.name,
                    lag.since.as_secs(),
                    lag.bytes.div_ceil(1024)
                );
                self.find(kind, &subject, Severity::Warning, Some(wal.project), detail);
            }
        }
    }

    fn server(&mut self, server: &Server, thresholds: &Thresholds) {
        let subject = "management";
        let used = 100.0 * server.connections as f64 / server.most_connections.max(1) as f64;
        let percent = f64::from(thresholds.connections_percent);
        if self.past(AlertKind::Connections, subject, used, percent) {
            let detail = format!(
                "{} of the management database's {} connections are used",
                server.connections, server.most_connections
            );
            self.find(AlertKind::Connections, subject, Severity::Critical, None, detail);
        }
        if server.oldest_transaction > thresholds.transaction_age {
            let detail = format!(
                "a transaction on the management database is open for {} min; its tables cannot be cleaned up",
                server.oldest_transaction.as_mins()
            );
            self.find(AlertKind::OldTransaction, subject, Severity::Warning, None, detail);
        }
    }
}

/// What becomes of an open alert whose condition was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It stays as it is.
    Stays,
    /// Its condition has ended just now, or holds again.
    QuietSince(Option<Timestamp>),
    /// Its condition has not held for long enough.
    Resolves,
}

pub fn next(holds: bool, quiet_since: Option<Timestamp>, now: Timestamp) -> Next {
    match (holds, quiet_since) {
        (true, None) => Next::Stays,
        (true, Some(_)) => Next::QuietSince(None),
        (false, None) => Next::QuietSince(Some(now)),
        (false, Some(since)) if now.duration_since(since) >= QUIET => Next::Resolves,
        // The clock has gone back: it is waited for anew.
        (false, Some(since)) if since > now => Next::QuietSince(Some(now)),
        (false, Some(_)) => Next::Stays,
    }
}

#[cfg(test)]
mod tests;

//! Dropping what retention no longer keeps.
//!
//! What is not needed is first *condemned*: noted, with the time. Only what was
//! condemned for as long as the grace, and is still not needed, is removed; so
//! whoever began to use it before it was condemned has ended, and whoever began
//! later has said so. What is about to be removed is told in the journal before
//! the last look, and whoever says that he needs something looks into the
//! journal afterwards: one of the two always sees the other.
//!
//! In doubt nothing is removed: not after the clock jumped, not from a tenant
//! with damaged records, not where two listings disagree, and not where a plan
//! of a restore would be lost.

mod clock;
mod condemned;
mod look;
mod sweep;

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::telemetry::causes;
use jiff::Timestamp;
use model::retention::{Retention, Unsure, Why};
use model::{BackupId, SnapshotId, TenantId};
use serde::Serialize;
use uuid::Uuid;

use crate::disk::FileError;
use crate::key::KeyError;
use crate::record::{PutError, RecordError};
use crate::repository::{Repository, TenantArchive};

pub use clock::{Clock, ClockError};
use look::{Kind, Look, Unneeded};

/// A shorter grace is safe only where nobody else uses the repository: workers
/// look at what others wrote within ten minutes.
pub const LEAST_GRACE: Duration = Duration::from_secs(60 * 60);

/// So many objects of a tenant are condemned, and removed, at a time.
const MOST: usize = 100_000;

/// How to drop what is not kept.
#[derive(Debug, Clone)]
pub struct Expire {
    pub retention: Retention,
    /// How long something is not needed before it is removed.
    pub grace: Duration,
    pub clock: Clock,
    /// Somebody looked at the clock: it is believed.
    pub clock_is_right: bool,
    /// Only look.
    pub plan_only: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ExpireError {
    #[error("tenant {0} is not in the repository")]
    UnknownTenant(TenantId),
    #[error(transparent)]
    Clock(#[from] ClockError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a tenant was left as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeftAlone {
    #[error("{0}; check the repository with `heddle archive verify`")]
    Finding(String),
    #[error(transparent)]
    Unsure(#[from] Unsure),
    #[error("two listings of the repository disagree about {0}: one of them was not complete")]
    Listing(String),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Put(#[from] PutError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// What was found and done, tenant by tenant.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Expired {
    pub tenants: Vec<TenantExpired>,
    /// Tenants whose keys were destroyed, and what was removed of them.
    pub shredded: u64,
    pub shredded_removed: Amount,
}

#[derive(Debug, Clone, Serialize)]
pub struct TenantExpired {
    pub tenant: TenantId,
    /// Names of its databases.
    pub databases: Vec<String>,
    /// Why nothing was removed, if something stood in the way.
    pub left_alone: Option<String>,
    pub backups: Vec<KeptBackup>,
    pub snapshots: Vec<KeptSnapshot>,
    /// By kind: what is not needed any more, what of that has had its grace, and
    /// what was removed.
    pub unneeded: BTreeMap<&'static str, Amount>,
    pub due: BTreeMap<&'static str, Amount>,
    pub removed: BTreeMap<&'static str, Amount>,
    /// When more will be due.
    pub next_due: Option<Timestamp>,
    /// The journal's entry.
    pub journal: Option<Uuid>,
    /// What of its history is gone now.
    pub dropped_backups: Vec<BackupId>,
    pub dropped_snapshots: Vec<SnapshotId>,
}

#[derive(Debug, Clone, Serialize)]
pub struct KeptBackup {
    pub id: BackupId,
    pub stopped_at: Timestamp,
    pub stored: u64,
    #[serde(flatten)]
    pub why: Why,
}

#[derive(Debug, Clone, Serialize)]
pub struct KeptSnapshot {
    pub id: SnapshotId,
    pub name: String,
    pub taken_at: Timestamp,
    #[serde(flatten)]
    pub why: Why,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    pub objects: u64,
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

impl TenantExpired {
    pub fn total(of: &BTreeMap<&'static str, Amount>) -> Amount {
        let mut total = Amount::default();
        for amount in of.values() {
            total.objects += amount.objects;
            total.bytes += amount.bytes;
        }
        total
    }
}

impl Repository {
    /// Drops what retention does not keep, of one tenant or of all. Safe beside
    /// workers, and beside another that does the same; broken off at any point,
    /// it is called again. Blocks.
    pub fn expire(&self, tenant: Option<TenantId>, how: &Expire) -> Result<Expired, ExpireError> {
        let all = self.tenants()?;
        let tenants = match tenant {
            Some(tenant) if !all.contains(&tenant) => return Err(ExpireError::UnknownTenant(tenant)),
            Some(tenant) => vec![tenant],
            None => all,
        };
        let mut living = Vec::new();
        let mut expired = Expired::default();
        for tenant in tenants {
            let archive = self.tenant(tenant);
            match archive.key() {
                Ok(_) => living.push(archive),
                Err(error) if matches!(error.key_error(), Some(KeyError::Shredded)) => {
                    expired.shredded += 1;
                    if !how.plan_only {
                        let removed = self.clear_shredded(tenant)?;
                        expired.shredded_removed.objects += removed.objects;
                        expired.shredded_removed.bytes += removed.bytes;
                    }
                }
                // Whatever was begun of it has nothing in it yet.
                Err(error) if matches!(error.key_error(), Some(KeyError::Missing)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let looks: Vec<_> = living.iter().map(|archive| (archive, Look::at(archive, how))).collect();
        let newest = looks.iter().filter_map(|(_, look)| look.as_ref().ok()?.newest()).max();
        self.check_clock(how, newest)?;
        for (archive, look) in looks {
            expired.tenants.push(archive.expire(look, how));
        }
        if !how.plan_only {
            self.clear_tmp(how)?;
        }
        Ok(expired)
    }
}

impl TenantArchive {
    fn expire(&self, look: Result<Look, LeftAlone>, how: &Expire) -> TenantExpired {
        let mut told = TenantExpired {
            tenant: self.tenant(),
            databases: Vec::new(),
            left_alone: None,
            backups: Vec::new(),
            snapshots: Vec::new(),
            unneeded: BTreeMap::new(),
            due: BTreeMap::new(),
            removed: BTreeMap::new(),
            next_due: None,
            journal: None,
            dropped_backups: Vec::new(),
            dropped_snapshots: Vec::new(),
        };
        let done = look.and_then(|look| {
            look.tell(&mut told);
            self.expire_unneeded(&look, how, &mut told)
        });
        if let Err(error) = done {
            told.left_alone = Some(causes(&error));
        }
        told
    }

    fn expire_unneeded(&self, look: &Look, how: &Expire, told: &mut TenantExpired) -> Result<(), LeftAlone> {
        let now = how.clock.now;
        let before = self.read_condemned()?;
        let since = |unneeded: &Unneeded| match unneeded.kind {
            // Its grace is that nothing was added to it for so long.
            Kind::Leftover => Some(Timestamp::MIN),
            _ => before.get(&unneeded.name).copied(),
        };
        let is_due = |since: Timestamp| now.duration_since(since) >= grace(how);
        let mut due = Vec::new();
        for unneeded in look.unneeded.iter().take(MOST) {
            count(&mut told.unneeded, unneeded);
            match since(unneeded) {
                Some(since) if is_due(since) => {
                    count(&mut told.due, unneeded);
                    due.push(unneeded.clone());
                }
                since => {
                    let at = since.unwrap_or(now).saturating_add(grace(how)).unwrap_or(Timestamp::MAX);
                    told.next_due = Some(told.next_due.map_or(at, |next| next.min(at)));
                }
            }
        }
        if how.plan_only {
            return Ok(());
        }
        let condemned: BTreeMap<String, Timestamp> = look
            .unneeded
            .iter()
            .take(MOST)
            .filter(|unneeded| unneeded.kind != Kind::Leftover)
            .map(|unneeded| (unneeded.name.clone(), since(unneeded).unwrap_or(now).min(now)))
            .collect();
        if condemned != before {
            self.write_condemned(&condemned)?;
        }
        self.end_dead_removals()?;
        if !due.is_empty() {
            self.sweep_due(look, due, how, told)?;
        }
        Ok(())
    }
}

fn grace(how: &Expire) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(how.grace).unwrap_or(jiff::SignedDuration::MAX)
}

fn count(amounts: &mut BTreeMap<&'static str, Amount>, unneeded: &Unneeded) {
    amounts.entry(unneeded.kind.as_str()).or_default().add(unneeded.size);
}

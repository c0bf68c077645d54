//! Drops cells that retention no longer keeps, and what provisions and restores
//! left that ended failed; tells the repository how long snapshots are kept; and
//! drops from it what nothing needs any more.

use std::time::Duration;

use archive::{Clock, Expire, ExpireError, Expired, MarkError, TenantExpired};
use model::retention::Retention;
use model::tenant::TenantState;
use model::{ClusterId, LineageId, TenantId};
use protocol::internal::{Fact, SnapshotTerms, TenantWork};

use super::{clear_leftovers, drop_cell, lineages, snapshot};
use crate::cell::Card;
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};
use crate::report::Run;

/// How long something is not needed before it is removed.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    clusters: &[ClusterId],
) -> Result<(), Failure> {
    let archived = tenant.state == TenantState::Archived;
    let keep: Vec<LineageId> = tenant.placed.iter().map(|placed| placed.lineage).collect();
    clear_leftovers(host, run, tenant.tenant, &keep).await?;
    for lineage in lineages(host, tenant.tenant)? {
        let Some(card) = Card::read(&host.layout, tenant.tenant, lineage) else { continue };
        if !clusters.contains(&card.cluster) || keep.contains(&lineage) && !archived {
            continue;
        }
        drop_cell(host, tenant.tenant, lineage).await?;
        run.info(format!("Dropped the cell of lineage {lineage}"));
    }
    for &cluster in clusters {
        run.record(Fact::ClusterDropped { cluster }).await?;
    }
    Ok(())
}

/// Tells the repository what was said of snapshots. One that is gone already is
/// told of, and stops nothing.
pub async fn keep_terms(
    host: &Host,
    run: &Run,
    tenant: TenantId,
    terms: &[SnapshotTerms],
) -> Result<(), Failure> {
    if terms.is_empty() {
        return Ok(());
    }
    let archive = host.repository.tenant(tenant);
    let known = archive.marks().await.doing("read how long snapshots are kept")?;
    for terms in terms {
        let mark = snapshot::mark(terms);
        if !known.contains(&mark) {
            match archive.put_mark(mark).await {
                Ok(()) => {}
                Err(error @ MarkError::BeingRemoved(_)) => {
                    run.warn(error.to_string());
                    continue;
                }
                Err(error) => Err(error).doing("record how long a snapshot is kept")?,
            }
        }
        let (snapshot, version) = (terms.snapshot, terms.version);
        run.record(Fact::SnapshotTermsKept { tenant, snapshot, version }).await?;
    }
    Ok(())
}

/// Drops from the repository what of a tenant's history is not kept.
pub async fn sweep(host: &Host, run: &Run, tenant: TenantId, retention: Retention) -> Result<(), Failure> {
    let how =
        Expire { retention, grace: GRACE, clock: Clock::system(), clock_is_right: false, plan_only: false };
    let repository = host.repository.clone();
    let expired = blocking(move || match repository.expire(Some(tenant), &how) {
        // It was never provisioned.
        Err(ExpireError::UnknownTenant(_)) => Ok(Expired::default()),
        Err(error) => Err(Failure::new("look for what is not kept").caused_by(error).hint(
            "nothing was removed; `heddle archive expire --plan` tells more, and --clock-is-right says that \
             somebody looked at the clock",
        )),
        Ok(expired) => Ok(expired),
    });
    let Some(told) = expired.await?.tenants.pop() else {
        run.info("There is nothing of it in the repository");
        return Ok(());
    };
    let (unneeded, removed) = (TenantExpired::total(&told.unneeded), TenantExpired::total(&told.removed));
    run.info(format!(
        "Keeps {} base backups and {} snapshots; {} objects of {} MB are not needed, {} of {} MB were removed",
        told.backups.len(),
        told.snapshots.len(),
        unneeded.objects,
        unneeded.bytes >> 20,
        removed.objects,
        removed.bytes >> 20
    ));
    if !told.dropped_backups.is_empty() || !told.dropped_snapshots.is_empty() {
        let (backups, snapshots) = (told.dropped_backups, told.dropped_snapshots);
        run.record(Fact::HistoryDropped { tenant, backups, snapshots }).await?;
    }
    match told.left_alone {
        None => Ok(()),
        Some(why) => Err(Failure::new(format!("leave the history alone: {why}"))
            .hint("nothing was removed; `heddle archive verify` finds what is wrong")),
    }
}

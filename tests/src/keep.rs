//! What is kept, for how long, and what is destroyed for good.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::house::House;
use crate::platform::{Ended, Platform, text, until};
use crate::state::Place;

/// A note, a pin and an expiry are heard of in the repository, by way of the
/// worker; what is kept and why is told by the repository alone.
pub async fn snapshots_are_kept_as_was_said(house: &House, tenant: &str) -> Result<()> {
    let platform = &house.platform;
    let create = ["snapshot", "create", tenant, "--name", "year-end", "--note", "books closed", "--pin"];
    let made = platform.heddle(&create).await?;
    ensure!(made["pinned"] == true && made["note"] == "books closed", "the snapshot is {made}");
    platform.heddle(&["snapshot", "create", tenant, "--name", "passing", "--keep", "3d"]).await?;
    ensure!(why(platform, tenant, "year-end").await? == "pinned", "the pin is not in the repository");
    ensure!(why(platform, tenant, "passing").await? == "until", "the expiry is not in the repository");

    let unpinned = platform.heddle(&["snapshot", "unpin", tenant, "year-end"]).await?;
    ensure!(unpinned["pinned"] == false, "the snapshot is {unpinned}");
    platform.heddle(&["snapshot", "pin", tenant, "passing"]).await?;
    // The next expire run of control's own tells the repository.
    until(Duration::from_secs(150), "the repository hears of both", async || {
        let (one, other) =
            (why(platform, tenant, "year-end").await?, why(platform, tenant, "passing").await?);
        Ok((one.as_str(), other.as_str()) == ("until", "pinned"))
    })
    .await?;
    let listed = platform.try_heddle(&["snapshot", "list", tenant]).await?.stdout;
    ensure!(listed.contains("books closed") && listed.contains("pinned"), "the list says:\n{listed}");

    // It is all new: nothing has to go, and everything is sound.
    let plan = platform.heddle(&["archive", "expire", "--plan"]).await?;
    for tenant in plan["tenants"].as_array().context("tenants")? {
        ensure!(tenant["left_alone"].is_null(), "left alone: {tenant}");
        ensure!(
            tenant["backups"].as_array().is_some_and(|kept| !kept.is_empty()),
            "no backup is kept: {tenant}"
        );
    }
    platform.heddle(&["archive", "expire"]).await?;
    platform.heddle(&["archive", "verify"]).await?;
    Ok(())
}

async fn why(platform: &Platform, tenant: &str, snapshot: &str) -> Result<String> {
    let database = tenant.replace('-', "_");
    let plan = platform.heddle(&["archive", "expire", "--plan", "--tenant", &database]).await?;
    let snapshots = plan["tenants"][0]["snapshots"].as_array().context("snapshots")?;
    let kept: Option<&Value> = snapshots.iter().find(|kept| kept["name"] == snapshot);
    Ok(kept.map(|kept| text(kept, "why")).unwrap_or_default())
}

fn refused(ended: &Ended, code: i32, words: &str) -> Result<()> {
    ensure!(
        ended.code == code && ended.stderr.contains(words),
        "it ended with {}, not with {code} and {words:?}:\n{}{}",
        ended.code,
        ended.stdout,
        ended.stderr
    );
    Ok(())
}

/// A tenant is shredded, by a worker that is killed in the midst of it: nothing
/// of it can be given back, and every other tenant is as it was.
pub async fn a_shredded_tenant_is_gone(house: &House, tenant: &str, other: &str, to: &Path) -> Result<()> {
    let platform = &house.platform;
    let place = Place::of(platform, tenant).await?;
    let id = text(&place.tenant, "id");
    let shred = ["tenant", "shred", tenant, "--confirm", tenant];
    refused(&platform.try_heddle(&shred).await?, 3, "only an archived tenant is shredded")?;
    platform.heddle(&["tenant", "archive", tenant, "--confirm", tenant]).await?;
    refused(&platform.try_heddle(&["tenant", "shred", tenant]).await?, 5, "--confirm")?;
    refused(
        &platform.try_heddle(&["tenant", "shred", tenant, "--confirm", other]).await?,
        3,
        "is not the name of",
    )?;

    platform.arm("shred.key")?;
    let (shredded, killed) =
        tokio::join!(platform.try_heddle(&shred), platform.reached("shred.key", Duration::from_secs(60)));
    killed?;
    let shredded = shredded?;
    ensure!(shredded.code == 0, "shredding ended with {}: {}", shredded.code, shredded.stderr);
    let shown = platform.heddle(&["tenant", "show", tenant]).await?;
    ensure!(!shown["shredded_at"].is_null(), "it is shown as {shown}");
    ensure!(!platform.data.join("tenants").join(&id).exists(), "its folders are still there");
    refused(&platform.try_heddle(&shred).await?, 3, "was shredded")?;

    let to = to.display().to_string();
    let restore = ["archive", "restore", &id, "--latest", "--to", &to];
    refused(&platform.try_heddle(&restore).await?, 3, "key was destroyed")?;
    let restore = ["restore", tenant, "--at", "-1s", "--yes"];
    refused(&platform.try_heddle(&restore).await?, 3, "archived")?;
    let verified = platform.heddle(&["archive", "verify"]).await?;
    ensure!(
        verified["shredded"] == 1 && verified["findings"] == serde_json::json!([]),
        "verify says {verified}"
    );
    let database = other.replace('-', "_");
    platform.heddle(&["archive", "verify", "--tenant", &database]).await?;
    house.serving(other).await?;
    platform.heddle(&["snapshot", "create", other, "--name", "afterwards"]).await?;
    platform.heddle(&["restore", other, "--to", "afterwards", "--yes"]).await?;
    house.serving(other).await
}

//! Files that were deleted and cleaned up between snapshots: the past has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use sha1::{Digest, Sha1};

use crate::house::House;
use crate::platform::{Platform, text, until};
use crate::state::Place;

/// Bytes that no other attachment has.
pub(crate) fn bytes(seed: &str) -> (Vec<u8>, String) {
    let bytes: Vec<u8> = (0u32..2000).flat_map(|at| Sha1::digest(format!("{seed} {at}"))).collect();
    let name = hex::encode(Sha1::digest(&bytes));
    (bytes, name)
}

pub(crate) fn in_folder(folder: &Path, sha1: &str) -> PathBuf {
    folder.join(&sha1[..2]).join(sha1)
}

pub(crate) fn kept(repository: &Path, place: &Place, sha1: &str) -> PathBuf {
    in_folder(&repository.join("tenants").join(text(&place.tenant, "id")).join("files"), sha1)
}

/// The repository has the file, sealed, and gives the very bytes back.
pub(crate) async fn check_kept(
    platform: &Platform,
    repository: &Path,
    place: &Place,
    sha1: &str,
    bytes: &[u8],
) -> Result<()> {
    let sealed = fs::read(kept(repository, place, sha1)).context("read what the repository keeps")?;
    let shows = |part: &[u8]| sealed.windows(part.len()).any(|window| window == part);
    ensure!(!shows(&bytes[..40]), "the repository keeps {sha1} readable");
    let keys = archive::KeyFile::at(platform.data.join("secrets/repository.key"));
    let repository = archive::Repository::open(repository, keys).context("open the repository")?;
    let tenant = text(&place.tenant, "id").parse().context("read the tenant's id")?;
    let file = sha1.parse().context("read the file's name")?;
    let kept = repository.tenant(tenant).read_file(file).await.context("read the kept file")?;
    ensure!(kept.as_deref() == Some(bytes), "the repository has {sha1}");
    Ok(())
}

async fn snapshots(platform: &Platform, tenant: &str) -> Result<usize> {
    let listed = platform.heddle(&["snapshot", "list", tenant]).await?;
    Ok(listed.as_array().context("a list of snapshots")?.len())
}

/// Uploads, notes the second, deletes and cleans up without a snapshot in
/// between; that second has the bytes. Returns how many they are.
pub async fn a_cleaned_up_file_comes_back(house: &House, tenant: &str) -> Result<usize> {
    let platform = &house.platform;
    let before = snapshots(platform, tenant).await?;
    let odoo = house.log_in(tenant).await?;
    let (bytes, sha1) = bytes("comes back");
    odoo.attach("comes-back.bin", &bytes).await?;
    let file = in_folder(&Place::of(platform, tenant).await?.filestore(), &sha1);
    ensure!(fs::read(&file).is_ok_and(|there| there == bytes), "the filestore has {}", file.display());

    tokio::time::sleep(Duration::from_millis(50)).await;
    let at = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    odoo.delete_attachment("comes-back.bin").await?;
    odoo.clean_up().await?;
    ensure!(!file.exists(), "Odoo's clean-up removed {}", file.display());
    ensure!(odoo.attachment("comes-back.bin").await?.is_none(), "the attachment is gone");
    ensure!(snapshots(platform, tenant).await? == before, "no snapshot came in between");

    platform.heddle(&["restore", tenant, "--at", &at.to_string(), "--yes"]).await?;
    house.serving(tenant).await?;
    let back = house.log_in(tenant).await?.attachment("comes-back.bin").await?;
    ensure!(back.as_deref() == Some(&bytes[..]), "the attachment has its bytes as of {at}");
    let file = in_folder(&Place::of(platform, tenant).await?.filestore(), &sha1);
    ensure!(fs::read(&file).is_ok_and(|there| there == bytes), "the filestore has {}", file.display());
    Ok(bytes.len())
}

/// A stopped process, which goes on when this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: i32) -> Result<Self> {
        let pid = Pid::from_raw(pid).context("a pid")?;
        kill_process(pid, Signal::STOP).context("stop the worker")?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// While nobody takes files into the repository, Odoo's clean-up leaves them;
/// afterwards it removes them, and the repository has them.
pub async fn a_file_that_is_not_kept_stays(house: &House, tenant: &str, repository: &Path) -> Result<()> {
    let platform = &house.platform;
    let place = Place::of(platform, tenant).await?;
    let odoo = house.log_in(tenant).await?;
    let (bytes, sha1) = bytes("stays");
    let (file, kept) = (in_folder(&place.filestore(), &sha1), kept(repository, &place, &sha1));
    let worker = platform.role("worker").context("the worker runs")?;

    let stopped = Stopped::new(worker)?;
    odoo.attach("stays.bin", &bytes).await?;
    odoo.delete_attachment("stays.bin").await?;
    odoo.clean_up().await?;
    ensure!(!kept.exists(), "a stopped worker kept {}", kept.display());
    ensure!(fs::read(&file).is_ok_and(|there| there == bytes), "the clean-up left {}", file.display());
    drop(stopped);

    until(Duration::from_secs(60), "the next clean-up removes the file", async || {
        odoo.clean_up().await?;
        Ok(!file.exists())
    })
    .await?;
    check_kept(platform, repository, &place, &sha1, &bytes).await
}

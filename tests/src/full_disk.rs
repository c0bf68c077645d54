//! A repository whose disk is full: writes go on, snapshots say why they fail,
//! and nothing is lost once there is room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::house::House;
use crate::platform::until;
use crate::state::State;

/// A small file system in memory; unmounted when dropped.
pub struct SmallDisk {
    pub folder: PathBuf,
}

impl SmallDisk {
    pub fn mount(folder: &Path, megabytes: u32) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let options = format!("size={megabytes}m,mode=0700");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).status()?;
        ensure!(status.success(), "mounting a small disk ended with {status}");
        Ok(Self { folder: folder.to_owned() })
    }

    /// Takes all the room that is left, until the returned file is removed.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.folder.join("filler");
        let mut file = File::create(&path)?;
        let mut block = vec![7u8; 1 << 20];
        while !block.is_empty() {
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => block.truncate(block.len() / 2),
                Err(error) => return Err(error).context("fill the small disk"),
            }
        }
        Ok(path)
    }

    fn is_full(&self) -> bool {
        let probe = self.folder.join("probe");
        let full = fs::write(&probe, [7u8; 8192]).is_err();
        let _ = fs::remove_file(probe);
        full
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there ends soon.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// Returns what was seen, in a sentence.
pub async fn full_disk(house: &House, tenant: &str, disk: &SmallDisk) -> Result<String> {
    let platform = &house.platform;
    let odoo = house.log_in(tenant).await?;
    let filler = disk.fill()?;
    let took = Instant::now();
    let snapshot = platform.try_heddle(&["snapshot", "create", tenant, "--name", "no-room"]);
    let write = async {
        let mut written = 0;
        for _ in 0..40 {
            // Whatever was freed in the meantime is taken again.
            if !disk.is_full() {
                bail!("the disk is not full any more");
            }
            odoo.create_partner(&format!("Full disk {written:03}")).await?;
            written += 1;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(written)
    };
    let (ended, written) = tokio::join!(snapshot, write);
    let (ended, written): (_, usize) = (ended?, written?);
    ensure!(ended.code == 6, "a snapshot on a full disk ended with {}:\n{}", ended.code, ended.stderr);
    let said = ended.stderr.to_lowercase();
    ensure!(said.contains("no space left"), "the cause is not named:\n{}", ended.stderr);
    ensure!(said.contains("hint: "), "there is no hint:\n{}", ended.stderr);
    println!("  on a full disk, a snapshot says:\n{}", ended.stderr.trim());
    let state = platform.heddle(&["snapshot", "list", tenant]).await?;
    let failed = state
        .as_array()
        .into_iter()
        .flatten()
        .any(|one| one["name"] == "no-room" && one["state"] == "failed");
    ensure!(failed, "the snapshot is not marked as failed: {state}");
    let took = took.elapsed().as_secs();

    fs::remove_file(filler).context("make room")?;
    let room = Instant::now();
    platform.heddle(&["snapshot", "create", tenant, "--name", "room-again"]).await?;
    let healed = room.elapsed().as_secs_f64();
    let then = State::of(platform, tenant).await?;
    let partners = odoo.partners("Full disk").await?;
    ensure!(partners.len() == written, "{} of {written} partners are there", partners.len());

    odoo.delete_partners("Full disk").await?;
    odoo.create_partner("After the full disk").await?;
    platform.heddle(&["restore", tenant, "--to", "room-again", "--yes"]).await?;
    house.serving(tenant).await?;
    let now = State::of(platform, tenant).await?;
    now.check_files()?;
    let differences = then.differences(&now);
    ensure!(differences.is_empty(), "the restore differs from what was there:\n{}", differences.join("\n"));
    until(Duration::from_secs(30), "the tenant lets people in", async || {
        Ok(house.log_in(tenant).await.is_ok())
    })
    .await?;
    Ok(format!(
        "snapshot refused after {took} s, {written} writes meanwhile, ready {healed:.1} s after there was room, \
         {} rows in {} tables and {} files exact",
        now.rows(),
        now.tables.len(),
        now.files.len()
    ))
}

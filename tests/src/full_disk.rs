//! A repository whose disk is full: writes go on, snapshots say why they fail,
//! and nothing is lost once there is room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::history;
use crate::house::House;
use crate::platform::until;
use crate::state::{Place, State};

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

    /// Takes all the room that is left, and what is freed later, until the
    /// answer is dropped.
    fn fill(&self) -> Result<Filler> {
        let path = self.folder.join("filler");
        let mut file =
            File::options().create_new(true).append(true).open(&path).context("fill the small disk")?;
        take_all(&mut file)?;
        let enough = Arc::new(AtomicBool::new(false));
        let told = enough.clone();
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // What fails here is tried again at once.
                let _ = take_all(&mut file);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(Filler { path, enough, thread: Some(thread) })
    }
}

fn take_all(file: &mut File) -> std::io::Result<()> {
    let mut block = vec![7u8; 1 << 20];
    while !block.is_empty() {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => block.truncate(block.len() / 2),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Keeps a disk full; makes room when dropped.
struct Filler {
    path: PathBuf,
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
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
    let place = Place::of(platform, tenant).await?;
    let (bytes, sha1) = history::bytes("no room");
    let (file, kept) =
        (history::in_folder(&place.filestore(), &sha1), history::kept(&disk.folder, &place, &sha1));
    // A backup under way would fail, and give back the room that it took.
    until(Duration::from_secs(60), "no run is under way", async || {
        let status = platform.heddle(&["status"]).await?;
        Ok(status["runs_running"] == 0 && status["runs_queued"] == 0)
    })
    .await?;
    let filler = disk.fill()?;
    let took = Instant::now();
    let snapshot = async { platform.try_heddle(&["snapshot", "create", tenant, "--name", "no-room"]).await };
    let write = async {
        let mut written = 0usize;
        while written < 40 {
            if written == 10 {
                odoo.attach("no-room.bin", &bytes).await?;
                odoo.delete_attachment("no-room.bin").await?;
                odoo.clean_up().await?;
            }
            odoo.create_partner(&format!("Full disk {written:03}")).await?;
            written += 1;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok::<_, anyhow::Error>(written)
    };
    let (ended, written) = tokio::join!(snapshot, write);
    let (ended, written) = (ended?, written?);
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
    ensure!(!kept.exists(), "{} found room on a full disk", kept.display());
    ensure!(fs::read(&file).is_ok_and(|there| there == bytes), "the clean-up left {}", file.display());
    let took = took.elapsed().as_secs();

    drop(filler);
    let room = Instant::now();
    platform.heddle(&["snapshot", "create", tenant, "--name", "room-again"]).await?;
    let healed = room.elapsed().as_secs_f64();
    let then = State::of(platform, tenant).await?;
    let partners = odoo.partners("Full disk").await?;
    ensure!(partners.len() == written, "{} of {written} partners are there", partners.len());

    // The file that nobody could take is taken now, and only now removed.
    odoo.clean_up().await?;
    ensure!(!file.exists(), "the clean-up removed {}", file.display());
    history::check_kept(platform, &disk.folder, &place, &sha1, &bytes).await?;

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

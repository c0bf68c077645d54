//! WAL, from the start of the command that PostgreSQL runs to its end: then the
//! segment is durable in the repository.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use archive::{ArchiveService, KeyFile, Repository, WalAccess};
use model::archive::Lineage;
use model::lsn::{SegmentSize, Timeline};
use model::program::Identity;
use model::{LineageId, TenantId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio_postgres::Client;

use super::fleet::{self, PUSHED};
use super::peer::{How, ended_well, identity, program};
use super::rows::Rows;
use super::{Bench, archived, settled};
use crate::figures::Bounds::AtMost;
use crate::figures::{median, percentile};

/// Segments of a cell are small, and so are the times.
const CELLS: usize = 3;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    println!("WAL push");
    let count = bench.scale.segments;
    let (ours, theirs, zstd) = shared(bench, count).await?;
    bench.beside["push_16_mb_ms"] = json!({"heddle": &ours, "pgbackrest": &theirs, "pgbackrest_zstd": &zstd});
    println!("  (pgBackRest at Heddle's compression: {:.1} ms)", median(&zstd));
    let bounds = AtMost { gate: 0.5, aim: 0.2 };
    for (name, percent) in [("p50", 50.0), ("p95", 95.0)] {
        let what = format!("WAL push, 16 MB segment, {name}");
        let (ours, theirs) = (percentile(&ours, percent), percentile(&theirs, percent));
        bench.figures.note_beside(&what, bounds, ours, theirs, "ms");
    }
    let (ours, theirs) = cell(bench, count * CELLS).await?;
    bench.beside["push_1_mb_ms"] = json!({"heddle": &ours, "pgbackrest": &theirs});
    for (name, percent) in [("p50", 50.0), ("p95", 95.0)] {
        let what = format!("WAL push, a cell's 1 MB segments, {name} per MB");
        let (ours, theirs) = (percentile(&ours, percent), percentile(&theirs, percent));
        bench.figures.note_beside(&what, bounds, ours, theirs, "ms");
    }
    let memory = pusher(bench).await?;
    bench.figures.note("memory of the pusher, 16 MB segment", "MB", AtMost { gate: 30.0, aim: 15.0 }, memory);
    Ok(())
}

/// Segments of the shared cluster, to an archive service as the worker runs it:
/// its own cells have smaller ones.
async fn shared(bench: &Bench, count: usize) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (shared, postgres) = (&bench.shared, identity()?);
    let client = shared.connect(&fleet::database(PUSHED)).await?;
    let folder = bench.top.join("push");
    fs::create_dir_all(&folder)?;
    let keys = KeyFile::at(folder.join("key"));
    keys.make().context("make a key")?;
    let repository = Repository::open_or_create(folder.join("repository"), keys)?;
    let (tenant, id) = (TenantId::new(), LineageId::new());
    let system: i64 =
        client.query_one("SELECT system_identifier FROM pg_control_system()", &[]).await?.get(0);
    let lineage = Lineage {
        id,
        tenant,
        parent: None,
        timeline: Timeline(1),
        system_identifier: system as u64,
        segment_size: SegmentSize(16 << 20),
        database: fleet::database(PUSHED),
    };
    repository.tenant(tenant).put_lineage(lineage).await?;
    let service = ArchiveService::new(repository);
    let socket = bench.top.join("push.sock");
    service.serve_wal(&socket, postgres, WalAccess { tenant, push: Some(id), fetch: None }).await?;

    let peers = [("push-default", How::Default), ("push-zstd", How::LikeHeddle)];
    let peers = peers.map(|(name, how)| bench.peer.stanza(name, &shared.data, &shared.sockets, how));
    let [default, zstd] = peers;
    let (default, zstd) = (default?, zstd?);
    for stanza in [&default, &zstd] {
        stanza.run(&["stanza-create"])?;
    }
    hold(&client, true).await?;
    let segments = fill(&client, &shared.data, count).await?;
    let place = Place { data: &shared.data, as_who: postgres };
    let (mut ours, mut theirs, mut compressed) = (Vec::new(), Vec::new(), Vec::new());
    for (number, segment) in segments.iter().enumerate() {
        settled();
        // Each is the first one in turn: the others find the file in the cache.
        for turn in 0..3 {
            match (number + turn) % 3 {
                0 => ours.push(place.push(&heddle(bench, &socket), segment).await?),
                1 => theirs.push(place.push(&default.archive_command(), segment).await?),
                _ => compressed.push(place.push(&zstd.archive_command(), segment).await?),
            }
        }
    }
    hold(&client, false).await?;
    archived(&client).await?;
    forget(bench).await?;
    service.close(&socket);
    fs::remove_dir_all(&folder)?;
    for stanza in [default, zstd] {
        fs::remove_dir_all(&stanza.repository)?;
    }
    Ok((ours, theirs, compressed))
}

/// Takes what was only written for its WAL out of the shared cluster.
pub async fn forget(bench: &Bench) -> Result<()> {
    let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", fleet::database(PUSHED));
    bench.shared.connect("postgres").await?.batch_execute(&drop).await?;
    Ok(())
}

/// Segments of a tenant's cell, through its own socket to the worker.
async fn cell(bench: &Bench, count: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let found = bench.fleet.place(PUSHED).await?;
    let client = found.connect().await?;
    let data = found.folder.join("cell");
    let owner = fs::metadata(&data)?;
    let who = identity()?.map(|_| Identity { uid: owner.uid(), gid: owner.gid() });
    let mut socket = found.socket_dir.parent().context("the run folder")?.join("a");
    socket.push(format!("{}.sock", found.socket_dir.file_name().unwrap_or_default().to_string_lossy()));
    let mut stanza = bench.peer.stanza("cell-push", &data, &found.socket_dir, How::Default)?;
    // Only root can look into the cell's folder, besides its own user.
    stanza.owner = None;
    stanza.run(&["--no-online", "stanza-create"])?;
    hold(&client, true).await?;
    let segments = fill(&client, &data, count).await?;
    let (own, root) = (Place { data: &data, as_who: who }, Place { data: &data, as_who: None });
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (number, segment) in segments.iter().enumerate() {
        settled();
        for turn in 0..2 {
            match (number + turn) % 2 {
                0 => ours.push(own.push(&heddle(bench, &socket), segment).await?),
                _ => theirs.push(root.push(&stanza.archive_command(), segment).await?),
            }
        }
    }
    hold(&client, false).await?;
    archived(&client).await?;
    fs::remove_dir_all(&stanza.repository)?;
    Ok((ours, theirs))
}

fn heddle(bench: &Bench, socket: &Path) -> String {
    let heddle = bench.fleet.house.platform.data.join("bin/heddle");
    format!("{} wal push --socket {} \"%p\"", heddle.display(), socket.display())
}

/// Keeps a cluster's WAL with it, or lets it be archived again.
async fn hold(client: &Client, held: bool) -> Result<()> {
    client
        .batch_execute(match held {
            true => "ALTER SYSTEM SET archive_command = ''",
            false => "ALTER SYSTEM RESET archive_command",
        })
        .await?;
    client.batch_execute("SELECT pg_reload_conf()").await?;
    // The archiver ends what it is doing first.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    Ok(())
}

/// Writes rows until so many segments wait to be archived.
async fn fill(client: &Client, data: &Path, count: usize) -> Result<Vec<String>> {
    let mut rows = Rows::new(count as u64 + 1000);
    loop {
        let mut waiting: Vec<String> = fs::read_dir(data.join("pg_wal/archive_status"))?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".ready").map(str::to_owned))
            .filter(|name| name.len() == 24)
            .collect();
        waiting.sort();
        if waiting.len() >= count {
            waiting.truncate(count);
            return Ok(waiting);
        }
        rows.add(client, 4 << 20).await?;
    }
}

/// Where PostgreSQL would run the command, and as whom.
struct Place<'a> {
    data: &'a Path,
    as_who: Option<Identity>,
}

impl Place<'_> {
    /// Milliseconds that a command takes with a segment.
    async fn push(&self, command: &str, segment: &str) -> Result<f64> {
        let mut shell = program(Path::new("/bin/sh"), self.as_who);
        shell.arg("-c").arg(command.replace("%p", &format!("pg_wal/{segment}"))).current_dir(self.data);
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            ended_well(&mut shell)?;
            Ok(began.elapsed().as_secs_f64() * 1000.0)
        })
        .await?
    }
}

/// The most memory that a pusher has had when all that is left is to hear that
/// the segment is durable; in megabytes.
async fn pusher(bench: &Bench) -> Result<f64> {
    let socket = bench.top.join("memory.sock");
    let listener = UnixListener::bind(&socket)?;
    let segment: PathBuf = bench.top.join("000000010000000000000001");
    fs::write(&segment, Rows::new(7).noise(16 << 20))?;
    let mut command = Command::new(bench.fleet.house.platform.data.join("bin/heddle"));
    let mut child = command
        .args(["wal", "push", "--socket"])
        .arg(&socket)
        .arg(&segment)
        .spawn()
        .context("start a pusher")?;
    let (stream, _) = listener.accept().await?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let request: Value = serde_json::from_str(&line).context("read the request")?;
    let length = request["len"].as_u64().context("its length")?;
    let read = tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
    ensure!(read == length, "the segment did not come whole");
    let most = peak(child.id())?;
    stream.write_all(b"{\"ok\":true}\n").await?;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    ensure!(status.success(), "the pusher ended with {status}");
    fs::remove_file(segment)?;
    Ok(most)
}

/// The most that a process has ever had resident, in megabytes.
pub fn peak(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("look at a process")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("its peak")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}

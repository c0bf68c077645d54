//! A scratch folder, a repository in it, and cells of a real PostgreSQL.
#![allow(dead_code)]

pub mod weed;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use archive::{ArchiveService, KeyFile, Repository, TenantArchive, WalAccess};
use model::archive::{Fork, Lineage};
use model::lsn::{Lsn, SegmentSize, Timeline};
use model::program::Identity;
use model::restore::{Plan, Stop};
use model::{LineageId, TenantId};
use tokio_postgres::{Client, NoTls};

pub const BIN: &str = "/usr/lib/postgresql/15/bin";

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user that PostgreSQL runs as: root may not.
pub fn cell_identity() -> Option<Identity> {
    if !is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("the user postgres");
    let fields: Vec<&str> = line.split(':').collect();
    Some(Identity { uid: fields[2].parse().unwrap(), gid: fields[3].parse().unwrap() })
}

/// A folder that other users can pass through; short, for sockets.
pub fn scratch() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("ha").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

fn owned_folder(path: &Path) {
    fs::create_dir_all(path).unwrap();
    if let Some(Identity { uid, gid }) = cell_identity() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// The key file in a folder, made if it is missing.
pub fn keys(folder: &Path) -> KeyFile {
    let keys = KeyFile::at(folder.join("key"));
    keys.make().unwrap();
    keys
}

pub struct House {
    pub scratch: tempfile::TempDir,
    pub service: ArchiveService,
    pub archive: TenantArchive,
    pub wal: PathBuf,
}

impl House {
    pub fn new() -> Self {
        let scratch = scratch();
        let keys = keys(scratch.path());
        let repository = Repository::open_or_create(scratch.path().join("repository"), keys).unwrap();
        let archive = repository.tenant(TenantId::new());
        let wal = scratch.path().join("wal");
        fs::copy(env!("CARGO_BIN_EXE_archive-wal"), &wal).unwrap();
        fs::set_permissions(&wal, fs::Permissions::from_mode(0o755)).unwrap();
        Self { service: ArchiveService::new(repository), archive, scratch, wal }
    }

    pub fn keys(&self) -> KeyFile {
        keys(self.scratch.path())
    }

    /// The repository, or a copy of it, as somebody else opens it.
    pub fn read(&self, root: &Path) -> Repository {
        Repository::open(root, self.keys()).unwrap()
    }

    pub fn access(&self, push: Option<LineageId>, fetch: Option<Plan>) -> WalAccess {
        WalAccess { tenant: self.archive.tenant(), push, fetch }
    }

    pub async fn serve(&self, cell: &Cell, push: Option<LineageId>, fetch: Option<Plan>) {
        self.service
            .serve_wal(&cell.archive_socket(), cell_identity(), self.access(push, fetch))
            .await
            .unwrap();
    }

    /// A cell that nothing was started in; `data` may be extracted to.
    pub fn cell(&self, name: &str) -> Cell {
        let dir = self.scratch.path().join(name);
        owned_folder(&dir);
        Cell { data: dir.join("data"), dir, wal: self.wal.clone(), child: None }
    }

    /// A new cell and its first lineage, started and archiving.
    pub async fn first_cell(&self, name: &str) -> (Cell, LineageId) {
        let mut cell = self.cell(name);
        cell.initdb();
        let lineage = cell.lineage(self.archive.tenant(), None, Timeline(1));
        let id = lineage.id;
        self.archive.put_lineage(lineage).await.unwrap();
        self.serve(&cell, Some(id), None).await;
        cell.start();
        cell.ready().await;
        (cell, id)
    }

    /// Carries a plan out in a new cell: extracted, recovered, promoted, its
    /// lineage recorded and archiving. Its log if recovery ended before its
    /// target.
    pub async fn materialise(&self, name: &str, plan: &Plan) -> Result<(Cell, Lineage), String> {
        let mut cell = self.cell(name);
        let first = plan.wal[0].lineage;
        let identity = cell_identity();
        self.archive.extract_backup(first, plan.backup, &cell.data, identity, |_, _| {}).await.unwrap();
        self.archive.place_wal(plan, &cell.data, identity).await.unwrap();
        let source = plan.wal.last().unwrap();
        cell.configure();
        cell.recover(&plan.stop, source.timeline);
        self.serve(&cell, None, Some(plan.clone())).await;
        cell.start();
        if !cell.promoted().await {
            return Err(cell.log());
        }
        let timeline = Timeline(source.timeline.0 + 1);
        let history =
            fs::read_to_string(cell.data.join(format!("pg_wal/{:08X}.history", timeline.0))).unwrap();
        let fork = history.lines().rfind(|line| !line.trim().is_empty()).unwrap();
        let lsn: Lsn = fork.split('\t').nth(1).unwrap().parse().unwrap();
        let parent = Some(Fork { lineage: plan.source, lsn });
        let lineage = cell.lineage(self.archive.tenant(), parent, timeline);
        self.archive.put_lineage(lineage.clone()).await.unwrap();
        self.serve(&cell, Some(lineage.id), None).await;
        Ok((cell, lineage))
    }
}

pub struct Cell {
    pub dir: PathBuf,
    pub data: PathBuf,
    wal: PathBuf,
    child: Option<Child>,
}

fn as_cell(program: &str) -> Command {
    let mut command = Command::new(format!("{BIN}/{program}"));
    command.current_dir("/").stdin(Stdio::null());
    if let Some(Identity { uid, gid }) = cell_identity() {
        command.uid(uid).gid(gid);
    }
    command
}

impl Cell {
    pub fn archive_socket(&self) -> PathBuf {
        self.dir.join("archive.sock")
    }

    fn initdb(&self) {
        let output = as_cell("initdb")
            .arg("-D")
            .arg(&self.data)
            .args(["-U", "heddle", "-A", "trust", "--wal-segsize=1", "--data-checksums", "--no-sync"])
            .args(["--no-locale", "-E", "UTF8"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.configure();
    }

    fn configure(&self) {
        let socket = self.archive_socket();
        let (wal, socket, dir) = (self.wal.display(), socket.display(), self.dir.display());
        let text = format!(
            "listen_addresses = ''\nunix_socket_directories = '{dir}'\nshared_buffers = '16MB'\n\
             archive_mode = on\nwal_level = replica\nhot_standby = off\nmax_wal_size = '16MB'\nmin_wal_size = '2MB'\n\
             archive_command = '{wal} push {socket} %p'\nrecovery_init_sync_method = syncfs\nfsync = on\n"
        );
        fs::write(self.data.join("postgresql.auto.conf"), text).unwrap();
    }

    fn recover(&self, stop: &Stop, timeline: Timeline) {
        let mut text = fs::read_to_string(self.data.join("postgresql.auto.conf")).unwrap();
        let socket = self.archive_socket();
        text += &format!(
            "restore_command = 'test ! -f pg_wal/archive_status/%f.done || exit 1; {} fetch {} %f %p'\nrecovery_target_timeline = '{}'\nrecovery_target_action = promote\n",
            self.wal.display(),
            socket.display(),
            timeline.0
        );
        match stop {
            Stop::Name { name, .. } => text += &format!("recovery_target_name = '{name}'\n"),
            // 'Z' is an abbreviation, which PostgreSQL does not know yet when it reads this.
            Stop::Time(at) => {
                text += &format!("recovery_target_time = '{}+00'\n", at.to_string().trim_end_matches('Z'))
            }
            Stop::Lsn(lsn) => {
                text += &format!("recovery_target_lsn = '{lsn}'\nrecovery_target_inclusive = off\n")
            }
            Stop::Consistent => text += "recovery_target = immediate\n",
            Stop::End => {}
        }
        fs::write(self.data.join("postgresql.auto.conf"), text).unwrap();
        fs::write(self.data.join("recovery.signal"), "").unwrap();
        if let Some(Identity { uid, gid }) = cell_identity() {
            chown(self.data.join("recovery.signal"), Some(uid), Some(gid)).unwrap();
        }
    }

    pub fn system_identifier(&self) -> u64 {
        let control = fs::read(self.data.join("global/pg_control")).unwrap();
        u64::from_le_bytes(*control.first_chunk().unwrap())
    }

    pub fn lineage(&self, tenant: TenantId, parent: Option<Fork>, timeline: Timeline) -> Lineage {
        Lineage {
            id: LineageId::new(),
            tenant,
            parent,
            timeline,
            system_identifier: self.system_identifier(),
            segment_size: SegmentSize::CELL,
            database: "postgres".into(),
        }
    }

    pub fn start(&mut self) {
        let log = fs::File::create(self.dir.join("log")).unwrap();
        let child = as_cell("postgres")
            .arg("-D")
            .arg(&self.data)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub async fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        let config = format!("host={} user=heddle dbname=postgres", self.dir.display());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn connect(&self) -> Client {
        self.try_connect().await.unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()))
    }

    /// Waits until connections are accepted; false if it ended before.
    pub async fn promoted(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            if let Ok(client) = self.try_connect().await
                && let Ok(row) = client.query_one("SELECT pg_is_in_recovery()", &[]).await
                && !row.get::<_, bool>(0)
            {
                return true;
            }
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.child = None;
                return false;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        panic!("not ready in time\n{}", self.log());
    }

    pub async fn ready(&mut self) {
        assert!(self.promoted().await, "{}", self.log());
    }

    /// Kills every process of the cell at once.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        child.kill().unwrap();
        for pid in
            children.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?))
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        child.wait().unwrap();
    }

    /// A fast shutdown.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{}", self.log());
    }

    /// Verifies the checksum of every page of the stopped cell.
    pub fn check_pages(&self) {
        let output = as_cell("pg_checksums").arg("--check").arg("-D").arg(&self.data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A segment that begins as one of this lineage does; `fill` makes the rest.
pub fn segment(lineage: &Lineage, number: u64, fill: u64) -> Vec<u8> {
    let size = lineage.segment_size.0;
    let mut bytes = vec![0; size as usize];
    let mut random = fill;
    for word in bytes.chunks_exact_mut(8) {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Random bytes do not compress; a fill of 0 does.
        let value = if fill == 0 { 0 } else { random ^ (random >> 29) };
        word.copy_from_slice(&value.to_le_bytes());
    }
    for page in 0..bytes.len() / 8192 {
        let address = number * u64::from(size) + page as u64 * 8192;
        bytes[page * 8192 + 8..page * 8192 + 16].copy_from_slice(&address.to_le_bytes());
    }
    bytes[0..2].copy_from_slice(&0xD110_u16.to_le_bytes());
    bytes[2..4].copy_from_slice(&2_u16.to_le_bytes());
    bytes[4..8].copy_from_slice(&lineage.timeline.0.to_le_bytes());
    bytes[24..32].copy_from_slice(&lineage.system_identifier.to_le_bytes());
    bytes[32..36].copy_from_slice(&size.to_le_bytes());
    bytes[36..40].copy_from_slice(&8192_u32.to_le_bytes());
    bytes
}

pub fn a_lineage(tenant: TenantId) -> Lineage {
    Lineage {
        id: LineageId::new(),
        tenant,
        parent: None,
        timeline: Timeline(1),
        system_identifier: 7_413_502_938_475_610_234,
        segment_size: SegmentSize::CELL,
        database: "acme".into(),
    }
}

//! A folder of programs whose processes are gone when the test is over.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::program::{Exit, ProgramId, ProgramSpec, ProgramState, RestartPolicy, StopSignal};
use runtime::{Driver, ProcessDriver};

pub const SHIM: &str = env!("CARGO_BIN_EXE_runtime-shim");

pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Under /var/tmp and open to pass through, so that other users can run programs in it.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("heddle-runtime-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn programs(&self) -> PathBuf {
        self.path().join("programs")
    }

    pub fn folder(&self, id: &ProgramId) -> PathBuf {
        self.programs().join(id.as_str())
    }

    pub fn driver(&self) -> ProcessDriver {
        ProcessDriver::new(self.programs(), SHIM.into())
    }

    pub fn status(&self, id: &ProgramId) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.folder(id).join("status.json")).unwrap()).unwrap()
    }

    pub fn shim_pid(&self, id: &ProgramId) -> u32 {
        u32::try_from(self.status(id)["shim"]["pid"].as_u64().unwrap()).unwrap()
    }

    /// A program that runs a script of sh.
    pub fn sh(&self, id: &str, script: &str) -> ProgramSpec {
        ProgramSpec {
            id: id.parse().unwrap(),
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            dir: self.path().to_owned(),
            identity: None,
            restart: RestartPolicy::Never,
            stop_signal: StopSignal::Term,
            grace: Duration::from_secs(5),
        }
    }

    pub fn assert_quiet(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "still there: {left:?}");
    }

    /// Everything that runs because of this folder: the shims, which name it
    /// in their arguments, and the programs, which carry its mark.
    fn processes(&self) -> Vec<u32> {
        let here = self.path().to_str().unwrap().to_owned();
        let names_us = |path: String, skip: &str| {
            let text = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&text)
                .split('\0')
                .any(|part| part.starts_with(&format!("{skip}{here}/programs/")))
        };
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            names_us(format!("/proc/{pid}/cmdline"), "")
                || names_us(format!("/proc/{pid}/environ"), "HEDDLE_PROGRAM=")
        })
        .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > until {
                return;
            }
            for pid in left {
                kill(pid, "KILL");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Sends a signal by its name; false if there is no such process.
pub fn kill(pid: u32, signal: &str) -> bool {
    let done = std::process::Command::new("/bin/kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status();
    done.unwrap().success()
}

pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !matches!(stat.rsplit_once(')').unwrap().1.trim_start().as_bytes()[0], b'Z' | b'X'))
}

/// Looks again and again until there is something, for 20 s.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The content of a file once it has some, without its last newline.
pub async fn content(path: &Path) -> String {
    eventually(&format!("{} is written", path.display()), async || {
        fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .map(|text| text.trim_end().to_owned())
    })
    .await
}

pub async fn running_pid(driver: &dyn Driver, id: &ProgramId) -> u32 {
    match driver.state(id).await.unwrap() {
        ProgramState::Running { pid, .. } => pid,
        other => panic!("{id} is {other:?}"),
    }
}

pub async fn ends(driver: &dyn Driver, id: &ProgramId) -> Exit {
    tokio::time::timeout(Duration::from_secs(30), driver.wait(id)).await.expect("the program ends").unwrap()
}

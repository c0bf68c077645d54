//! `heddle up` as people and accidents treat it. Needs PostgreSQL's programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

struct Place {
    data: PathBuf,
    run_dir: PathBuf,
    console: u16,
    router: u16,
    _top: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        // Where users other than root can pass.
        let top = tempfile::Builder::new().prefix("heddle-up-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (console, router) = (free(), free());
        let port = |listener: TcpListener| listener.local_addr().unwrap().port();
        Self {
            data: top.path().join("data"),
            run_dir: top.path().join("run"),
            console: port(console),
            router: port(router),
            _top: top,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
        command
            .env("HEDDLE_DATA", &self.data)
            .env("HEDDLE_RUN_DIR", &self.run_dir)
            .env("HEDDLE_LISTEN_CONSOLE", format!("127.0.0.1:{}", self.console))
            .env("HEDDLE_LISTEN_ROUTER", format!("127.0.0.1:{}", self.router))
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn status(&self) -> Option<Value> {
        let output = self.run(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Processes that belong to the data folder, with their command lines.
    fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&*self.data.to_string_lossy()) {
                found.push((pid, line));
            }
        }
        found
    }

    fn role(&self, name: &str) -> Option<i32> {
        let wanted = format!("/bin/heddle {name} ");
        self.processes().into_iter().find(|(_, line)| line.contains(&wanted)).map(|(pid, _)| pid)
    }
}

impl Drop for Place {
    /// Whatever happened, nothing of a test is left.
    fn drop(&mut self) {
        for _ in 0..50 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|(pid, _)| signal(*pid, Signal::KILL));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Started and ready; with what it said.
fn up(place: &Place) -> (Child, Value) {
    let mut child = place
        .command(&["up", "--json", "--one-time-password"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        let output = child.wait_with_output().unwrap();
        panic!("up ended: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = serde_json::from_str(&line).unwrap();
    (child, said)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn up_is_one_survives_kills_and_leaves_nothing() {
    let place = Place::new();
    let (mut first, said) = up(&place);
    assert_eq!(said["console"], format!("http://127.0.0.1:{}", place.console));
    assert!(said["one_time_password"].as_str().is_some_and(|password| password.len() >= 12), "{said}");
    assert_eq!(mode(&place.data), 0o711);
    for secret in ["admin.key", "platform.key", "control.url"] {
        assert_eq!(mode(&place.data.join("secrets").join(secret)), 0o600, "{secret}");
    }

    // A second one is refused, and told by whom.
    let second = place.run(&["up"]);
    assert_eq!(second.status.code(), Some(3));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains(&format!("process {}", first.id())), "{text}");

    // A role that is killed is started again.
    let control = place.role("control").unwrap();
    signal(control, Signal::KILL);
    until("another control", || place.role("control").filter(|pid| *pid != control));
    until("control to answer again", || place.status());

    // Killed itself, its roles follow it; the database stays and is taken over.
    let database = place.role("shim").unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    until("the roles to follow", || {
        ["control", "worker", "router"].iter().all(|name| place.role(name).is_none()).then_some(())
    });
    let (third, _) = up(&place);
    assert_eq!(place.role("shim"), Some(database));

    // Asked to stop, it leaves nothing, and says so.
    let asked = Instant::now();
    signal(i32::try_from(third.id()).unwrap(), Signal::TERM);
    let output = third.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("stopped control") && text.contains("Nothing is left running."), "{text}");
    assert_eq!(place.processes(), []);
    TcpListener::bind(("127.0.0.1", place.console)).unwrap();
    TcpListener::bind(("127.0.0.1", place.router)).unwrap();
    assert!(asked.elapsed() < Duration::from_secs(20), "stopping took {:?}", asked.elapsed());
}

#[test]
fn a_port_in_use_is_told_before_anything_is_made() {
    let place = Place::new();
    let _taken = TcpListener::bind(("127.0.0.1", place.router)).unwrap();
    let output = place.run(&["up"]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("port {} (listen_router) is in use", place.router)), "{text}");
    assert!(text.contains("ss -ltnp"), "{text}");
    assert!(!place.data.join("management").exists());
}

#[test]
fn a_missing_postgresql_is_told_with_its_remedy() {
    let place = Place::new();
    let output = place.command(&["up"]).env("HEDDLE_POSTGRES_BIN", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("PostgreSQL was not found in /nonexistent"), "{text}");
    assert!(text.contains("apt-get install postgresql"), "{text}");
    assert!(!place.data.join("management").exists());
}

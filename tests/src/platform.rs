//! A platform of its own: `heddle up` on a data folder, and commands to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long `heddle up` may take until all is ready, or until all is stopped.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct Platform {
    heddle: PathBuf,
    pub data: PathBuf,
    /// Arm a fault by making a file in it.
    pub faults: PathBuf,
    /// What `heddle up` and the roles write to their standard error.
    pub log: PathBuf,
    env: BTreeMap<String, String>,
    up: Child,
    pub console: String,
    /// `127.0.0.1:8080`
    pub router: String,
    pub one_time_password: Option<String>,
}

/// A command's end.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Platform {
    /// Starts `heddle up` on `data`; `env` is added to its environment.
    pub async fn start(heddle: &Path, data: &Path, env: &[(&str, String)]) -> Result<Self> {
        let heddle = fs::canonicalize(heddle).with_context(|| format!("find {}", heddle.display()))?;
        make_way(data)?;
        let faults = beside(data, "faults");
        fs::create_dir_all(&faults)?;
        let log = beside(data, "log");
        let ports = Ports::of(data)?;
        let mut whole = BTreeMap::from([
            ("HEDDLE_DATA".to_owned(), data.display().to_string()),
            ("HEDDLE_LISTEN_CONSOLE".to_owned(), format!("127.0.0.1:{}", ports.console)),
            ("HEDDLE_LISTEN_ROUTER".to_owned(), format!("127.0.0.1:{}", ports.router)),
            ("HEDDLE_FAULTS".to_owned(), faults.display().to_string()),
        ]);
        whole.extend(env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let mut up = Command::new(&heddle)
            .args(["up", "--one-time-password", "--json"])
            .envs(&whole)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .context("start heddle up")?;
        let stdout = up.stdout.take().context("heddle up has an output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else {
            let _ = up.start_kill();
            bail!("heddle up did not become ready; its log:\n{}", tail(&log, 40));
        };
        // Whatever else it may say must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let summary: Value = serde_json::from_str(&line).with_context(|| format!("read {line:?}"))?;
        Ok(Self {
            heddle,
            data: data.to_owned(),
            faults,
            log,
            env: whole,
            up,
            console: text(&summary, "console"),
            router: text(&summary, "router").trim_start_matches("http://").to_owned(),
            one_time_password: summary["one_time_password"].as_str().map(str::to_owned),
        })
    }

    /// The data folder of an earlier platform is left as it was.
    pub fn pid(&self) -> Option<u32> {
        self.up.id()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.heddle);
        command.args(arguments).envs(&self.env).env_remove("HEDDLE_FAULTS").stdin(Stdio::null());
        command.kill_on_drop(true);
        command
    }

    /// Runs a command to its end, whatever that is.
    pub async fn try_heddle(&self, arguments: &[&str]) -> Result<Ended> {
        let output = self.command(arguments).output().await.context("run heddle")?;
        Ok(Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must succeed, and reads its `--json`.
    pub async fn heddle(&self, arguments: &[&str]) -> Result<Value> {
        let mut whole = vec!["--json"];
        whole.extend(arguments);
        let ended = self.try_heddle(&whole).await?;
        let command = arguments.join(" ");
        ensure!(ended.code == 0, "heddle {command} ended with {}:\n{}", ended.code, ended.stderr);
        let last = serde_json::Deserializer::from_str(&ended.stdout).into_iter::<Value>().last();
        last.context("no result")?.with_context(|| format!("read the result of heddle {command}"))
    }

    /// The binary.
    pub fn program(&self) -> &Path {
        &self.heddle
    }

    /// Where commands of this platform find it.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The process of a role that `heddle up` started.
    pub fn role(&self, name: &str) -> Option<i32> {
        let up = self.up.id()?;
        processes().into_iter().find_map(|(pid, parent, argv)| {
            (parent == up as i32 && argv.get(1).is_some_and(|verb| verb == name)).then_some(pid)
        })
    }

    /// Kills a role with SIGKILL, and returns once another process has its place.
    pub async fn kill(&self, role: &str) -> Result<()> {
        let pid = self.role(role).with_context(|| format!("{role} does not run"))?;
        kill_process(Pid::from_raw(pid).context("a pid")?, Signal::KILL).context("kill")?;
        self.replaced(role, pid).await
    }

    /// Kills `heddle up` itself with SIGKILL, and starts another on the same data.
    pub async fn kill_up(&mut self) -> Result<()> {
        self.up.kill().await.context("kill heddle up")?;
        self.start_again().await
    }

    /// Kills every process of the platform at once, programs included: as if
    /// the machine had lost its power.
    pub async fn lose(&mut self) -> Result<()> {
        let data = self.data.display().to_string();
        loop {
            let all = processes();
            let own = ancestors(&all);
            let ours = |(pid, _, argv): &&(i32, i32, Vec<String>)| {
                !own.contains(pid) && argv.iter().any(|text| text.contains(&data))
            };
            // First whoever would start the others again.
            let up = self.up.id().map(|pid| pid as i32);
            let mut gone: Vec<i32> =
                up.into_iter().chain(all.iter().filter(ours).map(|(pid, ..)| *pid)).collect();
            if gone.is_empty() {
                break;
            }
            // Their children say nothing of where they belong.
            while let Some(child) =
                all.iter().find(|(pid, parent, _)| gone.contains(parent) && !gone.contains(pid))
            {
                gone.push(child.0);
            }
            for pid in gone.into_iter().filter_map(Pid::from_raw) {
                // One may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
            if up.is_some() {
                self.up.wait().await.context("wait for heddle up")?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Starts `heddle up` again on the same data.
    pub async fn start_again(&mut self) -> Result<()> {
        let env: Vec<_> = self.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        *self = Self::start(&self.heddle, &self.data, &env).await?;
        Ok(())
    }

    async fn replaced(&self, role: &str, pid: i32) -> Result<()> {
        until(Duration::from_secs(30), &format!("{role} is started again"), async || {
            Ok(self.role(role).is_some_and(|now| now != pid))
        })
        .await
    }

    /// The next process that reaches the point kills itself there.
    pub fn arm(&self, point: &str) -> Result<()> {
        fs::write(self.faults.join(point), b"").context("arm a fault point")
    }

    pub fn disarm(&self, point: &str) {
        let _ = fs::remove_file(self.faults.join(point));
    }

    /// Whether an armed point has struck.
    pub fn struck(&self, point: &str) -> bool {
        self.faults.join(format!("{point}.reached")).exists()
    }

    /// Waits until an armed point has struck, and makes it ready to be armed again.
    pub async fn reached(&self, point: &str, patience: Duration) -> Result<()> {
        until(patience, &format!("the fault point {point} is reached"), async || Ok(self.struck(point)))
            .await?;
        fs::remove_file(self.faults.join(format!("{point}.reached"))).context("note a fault point")
    }

    /// Ctrl-C, and all that must be gone then.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.up.id().context("heddle up has ended by itself")?;
        kill_process(Pid::from_raw(pid as i32).context("a pid")?, Signal::INT)
            .context("interrupt heddle up")?;
        let status = tokio::time::timeout(PATIENCE, self.up.wait())
            .await
            .with_context(|| format!("heddle up does not end; its log:\n{}", tail(&self.log, 30)))??;
        ensure!(status.success(), "heddle up ended with {status}; its log:\n{}", tail(&self.log, 30));
        self.check_gone()
    }

    /// No process, port or lock of the platform is left.
    fn check_gone(&self) -> Result<()> {
        let data = self.data.display().to_string();
        let all = processes();
        let own = ancestors(&all);
        let left: Vec<_> = all
            .into_iter()
            .filter(|(_, _, argv)| argv.iter().any(|argument| argument.contains(&data)))
            .filter(|(pid, _, _)| !own.contains(pid))
            .collect();
        ensure!(left.is_empty(), "processes are left: {left:?}");
        for address in [self.console.trim_start_matches("http://"), &self.router] {
            ensure!(std::net::TcpStream::connect(address).is_err(), "something still listens on {address}");
        }
        let lock = File::open(self.data.join("lock")).context("open the lock")?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .context("the data folder is still locked")
    }
}

impl Drop for Platform {
    /// A test that failed must not leave its platform behind.
    fn drop(&mut self) {
        if let Some(pid) = self.up.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            let _ = kill_process(pid, Signal::INT);
            let deadline = Instant::now() + Duration::from_secs(60);
            while Instant::now() < deadline && matches!(self.up.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// The ports a data folder's platform listens on: kept between its starts.
struct Ports {
    console: u16,
    router: u16,
}

impl Ports {
    fn of(data: &Path) -> Result<Self> {
        let file = beside(data, "ports");
        if let Ok(known) = fs::read_to_string(&file)
            && let Some((console, router)) = known.trim().split_once(' ')
        {
            return Ok(Self { console: console.parse()?, router: router.parse()? });
        }
        let ports = Self { console: free(7700)?, router: free(8080)? };
        fs::write(&file, format!("{} {}\n", ports.console, ports.router)).context("note the ports")?;
        Ok(ports)
    }
}

/// `wanted`, or another port that nothing listens on.
fn free(wanted: u16) -> Result<u16> {
    let preferred = TcpListener::bind(("127.0.0.1", wanted));
    let listener = preferred.or_else(|_| TcpListener::bind("127.0.0.1:0")).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// A path beside the data folder, so that the folder holds only what is Heddle's.
fn beside(data: &Path, what: &str) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}"));
    data.with_file_name(name)
}

/// Tenants' users must be able to pass to the data folder.
fn make_way(data: &Path) -> Result<()> {
    fs::create_dir_all(data).with_context(|| format!("make {}", data.display()))?;
    let mode = fs::metadata(data)?.permissions().mode();
    fs::set_permissions(data, fs::Permissions::from_mode(mode | 0o011)).context("open the data folder")
}

/// Pid, parent and arguments of every process.
pub fn processes() -> Vec<(i32, i32, Vec<String>)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            let argv = fs::read(entry.path().join("cmdline")).ok()?;
            let argv: Vec<String> = argv
                .split(|byte| *byte == 0)
                .map(|part| String::from_utf8_lossy(part).into_owned())
                .collect();
            (state != "Z").then_some((pid, parent, argv))
        })
        .collect()
}

/// This process and those that it was started by, whose arguments name the
/// data folder as well.
fn ancestors(all: &[(i32, i32, Vec<String>)]) -> Vec<i32> {
    let mut chain = vec![std::process::id() as i32];
    while let Some(parent) =
        all.iter().find(|(pid, ..)| chain.last() == Some(pid)).map(|(_, parent, _)| *parent)
    {
        chain.push(parent);
    }
    chain
}

/// Asks until the answer is yes.
pub async fn until(patience: Duration, what: &str, ask: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        if ask().await? {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "waited {} s, and still not: {what}", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A field that must be there; an absent one shows as such in what follows.
pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

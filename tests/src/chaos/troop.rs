//! Processes beside those of `heddle up`: workers on hosts of their own, and a
//! second control. Each can be killed, frozen and started again.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// One that is started again with what it was started with first.
pub struct Member {
    pub name: String,
    heddle: PathBuf,
    role: &'static str,
    data: PathBuf,
    environment: Vec<(String, String)>,
    pub log: PathBuf,
    child: Option<Child>,
    /// Frozen: it still has its place, and does nothing.
    pub frozen: bool,
}

/// What a member is started as.
pub struct Place<'a> {
    pub heddle: &'a Path,
    /// The data folder of `heddle up`, whose secrets it shares.
    pub platform: &'a Path,
    /// Where members have their folders.
    pub top: &'a Path,
}

impl Member {
    /// A worker on a host of its own that finds control at `address`.
    pub fn worker(place: &Place<'_>, name: &str, address: &str) -> Result<Self> {
        let environment = [
            ("HEDDLE_URL", format!("http://{address}")),
            ("HEDDLE_WORKER_NAME", name.to_owned()),
            ("HEDDLE_LOG", "warn".to_owned()),
        ];
        Self::new(place, name, "worker", &environment)
    }

    /// Another control on the same database.
    pub fn control(place: &Place<'_>, address: &str, clock: &[(&str, String)]) -> Result<Self> {
        let mut environment =
            vec![("HEDDLE_LISTEN_CONSOLE", address.to_owned()), ("HEDDLE_LOG", "warn".to_owned())];
        environment.extend(clock.iter().cloned());
        Self::new(place, "control", "control", &environment)
    }

    fn new(
        place: &Place<'_>,
        name: &str,
        role: &'static str,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let data = place.top.join(name);
        let open = |path: &Path, mode| DirBuilder::new().recursive(true).mode(mode).create(path);
        open(&data, 0o711)?;
        fs::set_permissions(&data, Permissions::from_mode(0o711))?;
        let secrets = data.join("secrets");
        open(&secrets, 0o700)?;
        // A host joins with the platform's key; a control with all of them.
        for entry in fs::read_dir(place.platform.join("secrets")).context("list the secrets")? {
            let entry = entry?;
            if role == "control" || entry.file_name() == "platform.key" {
                fs::copy(entry.path(), secrets.join(entry.file_name()))?;
            }
        }
        let mut whole = vec![
            ("HEDDLE_DATA".to_owned(), data.display().to_string()),
            ("HEDDLE_RUN_DIR".to_owned(), data.join("run").display().to_string()),
        ];
        whole.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let mut member = Self {
            name: name.to_owned(),
            heddle: place.heddle.to_owned(),
            role,
            log: place.top.join(format!("{name}.log")),
            data,
            environment: whole,
            child: None,
            frozen: false,
        };
        member.start()?;
        Ok(member)
    }

    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.heddle)
            .arg(self.role)
            .current_dir(&self.data)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.name))?;
        self.child = Some(child);
        Ok(())
    }

    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// SIGKILL; it is gone when this returns.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        self.frozen = false;
        child.kill().await.with_context(|| format!("kill {}", self.name))
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.frozen = true;
        self.signal(Signal::STOP)
    }

    pub fn thaw(&mut self) -> Result<()> {
        self.frozen = false;
        self.signal(Signal::CONT)
    }

    /// Starts it again if it has ended by itself.
    pub fn revive(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_some()
        {
            self.child = None;
            self.start()?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.as_ref().and_then(Child::id).context("it has ended")?;
        kill_process(Pid::from_raw(i32::try_from(pid)?).context("a pid")?, signal)
            .with_context(|| format!("signal {}", self.name))
    }

    /// How many lines of its log say this.
    pub fn said(&self, words: &str) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().lines().filter(|line| line.contains(words)).count()
    }
}

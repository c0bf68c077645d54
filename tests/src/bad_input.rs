//! Wrong input over the command line: a clear refusal, the documented exit
//! code, and nothing half made.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::platform::{Platform, processes};

/// A command that must be refused.
struct Case {
    what: &'static str,
    arguments: Vec<String>,
    env: Vec<(&'static str, String)>,
    /// As docs/reference/exit-codes.md has it.
    code: i32,
    /// What of the input, or of its remedy, the message must name.
    names: Vec<String>,
    /// Whether what to do is a line of its own, or part of the error.
    hint: bool,
    /// A data folder that must not come to be.
    absent: Option<PathBuf>,
}

impl Case {
    fn new(what: &'static str, line: &str, code: i32, names: &[&str]) -> Self {
        Self {
            what,
            arguments: line.split_whitespace().map(str::to_owned).collect(),
            env: Vec::new(),
            code,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            hint: true,
            absent: None,
        }
    }

    fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// The error itself says what a good value looks like.
    fn hint_within(mut self) -> Self {
        self.hint = false;
        self
    }

    /// `heddle up` on a data folder and ports of its own.
    fn up(what: &'static str, data: &Path, names: &[&str], code: i32) -> Result<Self> {
        let port = || -> Result<String> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string()) };
        let case = Self::new(what, "up", code, names)
            .env("HEDDLE_DATA", data.display().to_string())
            .env("HEDDLE_REPOSITORY", data.join("repository").display().to_string())
            .env("HEDDLE_RUN_DIR", data.join("run").display().to_string())
            .env("HEDDLE_LISTEN_CONSOLE", port()?)
            .env("HEDDLE_LISTEN_ROUTER", port()?);
        Ok(Self { absent: Some(data.to_owned()), ..case })
    }
}

/// What there is, to be compared with what there is afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    projects: usize,
    environments: usize,
    tenants: usize,
    ready_builds: usize,
    /// Of all tenants, in any state.
    snapshots: usize,
    /// Names in `tenants`, `builds`, `programs` and `run`.
    folders: Vec<String>,
    /// Programs of tenants and builds that run.
    programs: usize,
}

impl Inventory {
    async fn of(platform: &Platform) -> Result<Self> {
        let count = async |what: &str| -> Result<Vec<serde_json::Value>> {
            let listed = platform.heddle(&[what, "list"]).await?;
            listed.as_array().cloned().with_context(|| format!("a list of {what}s"))
        };
        let tenants = count("tenant").await?;
        let mut snapshots = 0;
        for tenant in &tenants {
            let name = tenant["name"].as_str().context("a tenant's name")?;
            let listed = platform.heddle(&["snapshot", "list", name]).await?;
            snapshots += listed.as_array().context("a list of snapshots")?.len();
        }
        let mut folders = Vec::new();
        for folder in ["tenants", "builds", "programs"] {
            let names = fs::read_dir(platform.data.join(folder)).with_context(|| format!("list {folder}"))?;
            folders.extend(names.flatten().map(|entry| format!("{folder}/{}", entry.file_name().display())));
        }
        folders.sort();
        let data = platform.data.join("programs").display().to_string();
        let of_ours = |argv: &[String]| argv.iter().any(|argument| argument.starts_with(&data));
        Ok(Self {
            projects: count("project").await?.len(),
            environments: count("env").await?.len(),
            tenants: tenants.len(),
            ready_builds: count("build").await?.iter().filter(|build| build["state"] == "ready").count(),
            snapshots,
            folders,
            programs: processes().iter().filter(|(_, _, argv)| of_ours(argv)).count(),
        })
    }
}

/// Runs the whole table on a platform with the serving tenants `acme` and
/// `globex`. `scratch` is a folder for what the cases need. Returns how many
/// inputs were refused.
pub async fn bad_input(heddle: &Path, platform: &Platform, odoo: &Path, scratch: &Path) -> Result<usize> {
    platform.heddle(&["snapshot", "create", "globex", "--name", "of-globex"]).await?;
    let listed = platform.heddle(&["snapshot", "list", "globex"]).await?;
    let newest = listed[0]["id"].as_str().context("the snapshot's id")?.to_owned();
    let no_odoo = scratch.join("no-odoo");
    fs::create_dir_all(&no_odoo)?;
    let (no_odoo, odoo) = (no_odoo.display(), odoo.display());

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut cases = vec![
        Case::new("bad name", "tenant create Acme! --env demo/production", 3, &["Acme!", "a-z"])
            .hint_within(),
        Case::new(
            "bad subdomain",
            "tenant create ok --subdomain 9lives --env demo/production",
            3,
            &["9lives"],
        )
        .hint_within(),
        Case::new("name that is no subdomain", "tenant create x --env demo/production", 3, &["--subdomain"]),
        Case::new(
            "reserved subdomain",
            "tenant create shop --subdomain www --env demo/production",
            3,
            &["www"],
        )
        .hint_within(),
        Case::new(
            "taken subdomain",
            "tenant create shop --subdomain acme --env demo/production",
            3,
            &["acme"],
        ),
        Case::new("taken name", "tenant create acme --subdomain other --env demo/production", 3, &["acme"]),
        Case::new(
            "unknown environment",
            "tenant create shop --env demo/nowhere",
            3,
            &["demo/nowhere", "env list"],
        ),
        Case::new("unknown tenant", "tenant show nobody", 3, &["nobody", "tenant list"]),
        Case::new("unknown tenant to snapshot", "snapshot create nobody", 3, &["nobody", "tenant list"]),
        Case::new("unknown tenant to restore", "restore nobody --at -5s", 3, &["nobody", "tenant list"]),
        Case::new("unknown project", &format!("build create nowhere --odoo {odoo}"), 3, &["nowhere"]),
        Case::new(
            "a path that is no Odoo",
            &format!("build create demo --odoo {no_odoo}"),
            6,
            &[&no_odoo.to_string(), "odoo-bin"],
        ),
        Case::new(
            "a path that is nothing",
            &format!("build create demo --odoo {no_odoo}/x"),
            6,
            &["nothing at"],
        ),
        Case::new(
            "unknown module",
            &format!("build create demo --odoo {odoo} --modules base,no_such_one"),
            6,
            &["no_such_one", "--addons"],
        ),
        Case::new(
            "no folder of modules",
            &format!("build create demo --odoo {odoo} --addons {no_odoo}"),
            6,
            &[&no_odoo.to_string()],
        ),
        Case::new(
            "a time too early",
            "restore acme --at 2020-01-01T00:00:00Z",
            3,
            &["2020-01-01", "choose a time"],
        ),
        Case::new(
            "a time in the future",
            "restore acme --at 2100-01-01T00:00:00Z",
            3,
            &["future", "choose a time"],
        ),
        Case::new("no time", "restore acme --at yesterday", 2, &["yesterday", "5m ago"]).hint_within(),
        Case::new("no target", "restore acme", 2, &["--to", "--at"]).hint_within(),
        Case::new("unknown snapshot", "restore acme --to nosuch --yes", 3, &["nosuch", "snapshot list acme"]),
        Case::new("another tenant's snapshot", "restore acme --to of-globex --yes", 3, &["of-globex"]),
        Case::new(
            "another tenant's snapshot by its id",
            &format!("restore acme --to {newest} --yes"),
            3,
            &["globex", "acme"],
        ),
        Case::new("taken snapshot name", "snapshot create globex --name of-globex", 3, &["of-globex"]),
        Case::new("wrong key", "tenant list", 7, &["HEDDLE_API_KEY"]).env("HEDDLE_API_KEY", "hk_wrong_key"),
        Case::new("wrong key to change something", "tenant suspend acme", 7, &["HEDDLE_API_KEY"])
            .env("HEDDLE_API_KEY", "hk_00000000000000000000000000000000_00000000000000000000000000000000"),
        Case::new("control not running", "tenant list", 4, &[&closed, "heddle up"])
            .env("HEDDLE_URL", format!("http://{closed}")),
        Case::new("no data folder", "tenant list", 7, &["admin.key", "--data"])
            .env("HEDDLE_DATA", scratch.join("nowhere").display().to_string()),
        Case::new("unknown tier", "tenant set acme --tier gold", 2, &["gold"]).hint_within(),
        Case::new("a size that is none", "tenant set acme --max-storage 1.5GB", 2, &["1.5GB", "20GiB"])
            .hint_within(),
        Case::new("an end that is none", "tenant set acme --subscription-ends soon", 2, &["soon", "never"])
            .hint_within(),
        Case::new("nothing to set", "tenant set acme", 3, &["changes nothing", "tier"]),
        Case::new("no users", "tenant set acme --max-users 0", 3, &["users"]),
        Case::new("an edit of an old version", "tenant set acme --tier pro --version 0", 3, &["version"]),
        Case::new("a change of nobody", "tenant set nobody --tier pro", 3, &["nobody", "tenant list"]),
        Case::new("no build", "env set demo/production --build 7", 2, &["7"]).hint_within(),
        Case::new(
            "an unknown build",
            "env set demo/production --build 00000000-0000-7000-8000-000000000000",
            3,
            &["no build"],
        ),
        Case::new("misspelt command", "tennant list", 2, &["tenant"]).hint_within(),
    ];

    let first = platform.pid().context("heddle up runs")?.to_string();
    cases.push(Case::new("a second up", "up", 3, &[&first, "--data"]));
    let port = taken.local_addr()?;
    for setting in ["HEDDLE_LISTEN_CONSOLE", "HEDDLE_LISTEN_ROUTER"] {
        let data = scratch.join("port-in-use");
        let case = Case::up("port in use", &data, &[&port.port().to_string(), setting], 3)?;
        cases.push(case.env(setting, port.to_string()));
    }
    let data = scratch.join("no-postgres");
    let case =
        Case::up("PostgreSQL missing", &data, &["not found", "apt-get install", "HEDDLE_POSTGRES_BIN"], 1)?;
    cases.push(case.env("HEDDLE_POSTGRES_BIN", no_odoo.to_string()));
    let case = Case::up("PostgreSQL too old", &data, &["14.9", "15"], 1)?;
    cases.push(case.env("HEDDLE_POSTGRES_BIN", old_postgres(scratch)?.display().to_string()));

    let before = Inventory::of(platform).await?;
    for case in &cases {
        refused(heddle, platform, case).await.with_context(|| case.what)?;
        let after = Inventory::of(platform).await?;
        ensure!(before == after, "{}: something was left of it: {before:#?} became {after:#?}", case.what);
    }
    drop(taken);
    Ok(cases.len())
}

/// Programs that say that they are of a version that is too old.
fn old_postgres(scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("old-postgres");
    fs::create_dir_all(&folder)?;
    for name in ["postgres", "initdb", "pg_controldata", "pg_resetwal"] {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{name} (PostgreSQL) 14.9'\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

async fn refused(heddle: &Path, platform: &Platform, case: &Case) -> Result<()> {
    let mut command = Command::new(heddle);
    command.args(&case.arguments).envs(platform.environment()).env_remove("HEDDLE_FAULTS");
    command.envs(case.env.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.context("it does not end")??;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    ensure!(code == Some(case.code), "ended with {code:?} and not {}:\n{stderr}", case.code);
    ensure!(stderr.lines().any(|line| line.starts_with("error: ")), "says no error:\n{stderr}");
    let hint = stderr.lines().any(|line| line.starts_with("hint: "));
    ensure!(hint || !case.hint, "gives no hint:\n{stderr}");
    for name in &case.names {
        ensure!(stderr.contains(name), "does not name {name:?}:\n{stderr}");
    }
    for inner in ["panicked", "os error 2)", "client error (", "stack backtrace"] {
        ensure!(!stderr.contains(inner), "shows its insides:\n{stderr}");
    }
    if let Some(data) = &case.absent {
        ensure!(!data.exists(), "{} was made", data.display());
    }
    Ok(())
}

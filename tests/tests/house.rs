//! The whole house on one platform: tenants kept apart, requests led right,
//! wrong input refused, files and WAL kept when it is hard to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use walk::bad_input::bad_input;
use walk::console::console_tour;
use walk::full_disk::{SmallDisk, full_disk};
use walk::house::{House, MODULES};
use walk::platform::Platform;
use walk::table::Steps;
use walk::{history, isolation, readme, routing};

/// Backups of three tenants and of their restored cells fit into it.
const REPOSITORY_MB: u32 = 320;

fn path(variable: &str, what: &str) -> Result<PathBuf> {
    let given = std::env::var_os(variable).filter(|value| !value.is_empty());
    let path = PathBuf::from(given.with_context(|| format!("set {variable} to {what}"))?);
    fs::canonicalize(&path)
        .with_context(|| format!("{variable} names {}, which is not there", path.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_with_many_doors() -> Result<()> {
    let heddle = path("HEDDLE_TEST_BIN", "the heddle binary")?;
    let odoo = path("HEDDLE_TEST_ODOO", "an Odoo: a source tree or a virtual environment")?;
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("isolation: off, since this is not root: all tenants run as one user");
        let allowed = std::env::var("HEDDLE_TEST_NOT_ROOT").is_ok_and(|value| value == "1");
        ensure!(
            allowed,
            "run this as root, or set HEDDLE_TEST_NOT_ROOT=1 to leave out isolation and the full disk"
        );
    }
    // Neither /tmp nor a folder of mode 0700: tenants' users must get there.
    let scratch = PathBuf::from(format!("/var/tmp/heddle-house-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o711))?;
    let began = Instant::now();
    walk_through(&heddle, &odoo, &scratch, root)
        .await
        .with_context(|| format!("left behind: {}", scratch.display()))?;
    fs::remove_dir_all(&scratch).context("remove the data folder")?;
    println!("the house stands; {} s in all", began.elapsed().as_secs());
    Ok(())
}

/// The checkout may be closed to the users that Odoo runs as.
fn copy_addons(to: &Path) -> Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("addons");
    let copied = Command::new("cp").arg("-r").args([&from, to]).status().context("copy the addons")?;
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(to).status().context("open the addons")?;
    ensure!(copied.success() && opened.success(), "the addons were not copied");
    Ok(())
}

async fn walk_through(heddle: &Path, odoo: &Path, scratch: &Path, root: bool) -> Result<()> {
    let repository = scratch.join("repository");
    let disk = root.then(|| SmallDisk::mount(&repository, REPOSITORY_MB)).transpose()?;
    let mut steps = Steps::default();

    let began = Instant::now();
    let env = [("HEDDLE_REPOSITORY", &repository), ("HEDDLE_RUN_DIR", &scratch.join("run"))]
        .map(|(name, path)| (name, path.display().to_string()));
    let platform = Platform::start(heddle, &scratch.join("data"), &env).await?;
    let password = platform.one_time_password.clone().context("a one-time password")?;
    let addons = scratch.join("addons");
    copy_addons(&addons)?;
    let modules = format!("{MODULES},heddle_hostile");
    let mut house = House::move_in(platform, odoo, Some(&addons), &modules).await?;
    house.tenant("acme").await?;
    house.tenant("globex").await?;
    steps.done("two tenants serve", began, "acme, globex");

    let began = Instant::now();
    // A file in each filestore, for the neighbour to try.
    for tenant in ["acme", "globex"] {
        house.log_in(tenant).await?.attach("contract.txt", tenant.repeat(1000).as_bytes()).await?;
    }
    if root {
        let refused = isolation::isolation(&house, "acme", "globex", &repository).await?;
        ensure!(refused >= 40, "only {refused} attempts were made");
        steps.done("isolation", began, format!("{refused} attempts refused"));
    }

    let began = Instant::now();
    let tricks = routing::no_trick_leads_elsewhere(&house).await?;
    let manager = routing::no_database_manager(&house).await?;
    let unknown = routing::unknown_hosts(&house).await?;
    routing::new_tenant_is_routed(&mut house, "initech").await?;
    let seen = format!(
        "{tricks} tricks, {manager} ways to the database manager, {unknown} unknown hosts; a new one served"
    );
    steps.done("router", began, seen);

    let began = Instant::now();
    let inputs = bad_input(heddle, &house.platform, odoo, scratch).await?;
    steps.done("bad input", began, format!("{inputs} inputs refused, nothing left of them"));

    let began = Instant::now();
    told_well(&house.platform).await?;
    steps.done("logs, doctor, help", began, "read");

    let began = Instant::now();
    let checks = console_tour(&house.platform, &password, "acme").await?;
    steps.done("console", began, format!("{checks} checks in a browser"));

    let began = Instant::now();
    let bytes = history::a_cleaned_up_file_comes_back(&house, "acme").await?;
    steps.done("a cleaned up file", began, format!("its {bytes} bytes came back, with no snapshot"));
    let began = Instant::now();
    history::a_file_that_is_not_kept_stays(&house, "acme", &repository).await?;
    steps.done("a file that is not kept", began, "stayed until the repository had it");
    nothing_went_wrong_unseen(&house.platform)?;

    if let Some(disk) = &disk {
        let began = Instant::now();
        let seen = full_disk(&house, "globex", disk).await?;
        steps.done("full disk", began, seen);
    }

    // Last, since restores wait for an approval from then on.
    let began = Instant::now();
    let shown = ["More to look at:", "For more than one person:"];
    let commands = readme::commands_do_what_they_say(&house.platform, &shown).await?;
    steps.done("README", began, format!("{commands} commands do what they say"));

    let began = Instant::now();
    house.platform.stop().await?;
    steps.done("stop", began, "no process, port or lock is left");
    steps.print();
    Ok(())
}

/// What people read first says what it should.
async fn told_well(platform: &Platform) -> Result<()> {
    let says = async |arguments: &[&str], words: &[&str]| -> Result<()> {
        let ended = platform.try_heddle(arguments).await?;
        let command = arguments.join(" ");
        ensure!(ended.code == 0, "heddle {command} ended with {}:\n{}", ended.code, ended.stderr);
        for word in words {
            ensure!(ended.stdout.contains(word), "heddle {command} does not say {word:?}:\n{}", ended.stdout);
        }
        Ok(())
    };
    says(&["logs", "acme", "-n", "50"], &["INFO acme", "/web/login"]).await?;
    says(&["logs", "acme", "--cluster"], &["ready to accept connections"]).await?;
    says(&["doctor"], &["PostgreSQL", "isolation", "disk space", "console port", "router port"]).await?;
    let help = [
        "--env <PROJECT/ENVIRONMENT>",
        "--subdomain",
        "Examples:",
        "heddle tenant create acme --env demo/production",
    ];
    says(&["tenant", "create", "--help"], &help).await?;
    says(&["status"], &["acme", "globex", "alive", "serving"]).await
}

/// An error in a role's log that no step of this test asked for.
fn nothing_went_wrong_unseen(platform: &Platform) -> Result<()> {
    for role in ["control", "worker", "router"] {
        let path = platform.data.join("logs").join(format!("{role}.log"));
        let log = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let bad: Vec<_> =
            log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")).collect();
        ensure!(bad.is_empty(), "{role} logged:\n{}", bad.join("\n"));
    }
    Ok(())
}

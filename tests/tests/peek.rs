//! Peeks, with a platform of their own: a real Odoo's past is read while it
//! serves, nothing can be written, and every peek goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use walk::house::House;
use walk::peek;
use walk::platform::{Platform, tail};
use walk::table::Steps;

fn path(variable: &str, what: &str) -> PathBuf {
    let given = std::env::var_os(variable).filter(|value| !value.is_empty());
    fs::canonicalize(given.unwrap_or_else(|| panic!("set {variable} to {what}"))).unwrap()
}

async fn walk_through(heddle: &Path, odoo: &Path, top: &Path) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let began = Instant::now();
    let env = [
        ("HEDDLE_RUN_DIR", top.join("run").display().to_string()),
        ("HEDDLE_WORKER_PEEKS", peek::MOST.to_string()),
    ];
    let platform = Platform::start(heddle, &top.join("data"), &env).await?;
    let mut house = House::move_in(platform, odoo, None, "base,web").await?;
    house.tenant("acme").await?;
    house.tenant("globex").await?;
    steps.done("two tenants serve", began, "acme, globex");

    let began = Instant::now();
    let seen = peek::a_past_is_read(&house, "acme").await?;
    steps.done("a time, a snapshot, a position, now", began, seen);

    let began = Instant::now();
    let seen = peek::nothing_can_be_written(&house, "acme").await?;
    steps.done("reading, and nothing else", began, seen);

    let began = Instant::now();
    peek::psql_runs_on_it(&house, "acme").await?;
    steps.done("psql", began, "runs on it, and ends it");

    let began = Instant::now();
    peek::one_too_many_is_refused(&house, "acme", "globex").await?;
    steps.done("more than a host takes", began, "refused");

    let began = Instant::now();
    peek::it_goes_with_its_time(&house, "acme").await?;
    peek::it_goes_with_its_worker(&house, "acme").await?;
    peek::it_goes_with_its_tenant(&house, "globex").await?;
    steps.done("ends", began, "by its time, with a killed worker, with its tenant");
    // One that is open goes with `heddle up`.
    house.platform.heddle(&["tenant", "peek", "acme", "--latest"]).await?;
    house.platform.stop().await?;
    steps.print();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_past_is_read_for_a_while() {
    let heddle = path("HEDDLE_TEST_BIN", "the heddle binary");
    let odoo = path("HEDDLE_TEST_ODOO", "an Odoo: a source tree or a virtual environment");
    let root = rustix::process::geteuid().is_root();
    let parent = if root { PathBuf::from("/var/tmp") } else { std::env::temp_dir() };
    let top = tempfile::Builder::new().prefix("heddle-peek-").tempdir_in(parent).unwrap();
    fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
    // Kept for whoever looks for the reason, unless the test passes.
    let top = top.keep();
    if let Err(error) = walk_through(&heddle, &odoo, &top).await {
        panic!(
            "{error:#}\n{} is kept; heddle up's log ends with:\n{}",
            top.display(),
            tail(&top.join("data.log"), 40)
        );
    }
    fs::remove_dir_all(&top).unwrap();
}

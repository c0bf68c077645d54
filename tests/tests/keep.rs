//! Retention and destruction, with a platform of its own: pins that reach the
//! repository, and a tenant that is shredded beside one that stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use walk::house::House;
use walk::keep;
use walk::platform::{Platform, tail};
use walk::table::Steps;

fn path(variable: &str, what: &str) -> PathBuf {
    let given = std::env::var_os(variable).filter(|value| !value.is_empty());
    fs::canonicalize(given.unwrap_or_else(|| panic!("set {variable} to {what}"))).unwrap()
}

async fn walk_through(
    heddle: &std::path::Path,
    odoo: &std::path::Path,
    top: &std::path::Path,
) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let began = Instant::now();
    let run_dir = top.join("run").display().to_string();
    let platform = Platform::start(heddle, &top.join("data"), &[("HEDDLE_RUN_DIR", run_dir)]).await?;
    let mut house = House::move_in(platform, odoo, None, "base,web").await?;
    house.tenant("acme").await?;
    house.tenant("globex").await?;
    steps.done("two tenants serve", began, "acme, globex");

    let began = Instant::now();
    keep::snapshots_are_kept_as_was_said(&house, "acme").await?;
    steps.done("notes, pins, expiries", began, "as the repository has heard");

    let began = Instant::now();
    keep::a_shredded_tenant_is_gone(&house, "globex", "acme", &top.join("restored")).await?;
    steps.done("shred globex", began, "across a kill; acme verifies and is restored");
    house.platform.stop().await?;
    steps.print();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_and_what_is_destroyed() {
    let heddle = path("HEDDLE_TEST_BIN", "the heddle binary");
    let odoo = path("HEDDLE_TEST_ODOO", "an Odoo: a source tree or a virtual environment");
    let root = rustix::process::geteuid().is_root();
    let parent = if root { PathBuf::from("/var/tmp") } else { std::env::temp_dir() };
    let top = tempfile::Builder::new().prefix("heddle-keep-").tempdir_in(parent).unwrap();
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

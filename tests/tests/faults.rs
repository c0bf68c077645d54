//! Processes killed at every fault point and at random: what was acknowledged
//! is there, what was under way is done or undone, and nothing is left over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_every_fault_point_leave_nothing_half_done() {
    let named = |variable: &str, what: &str| -> PathBuf {
        let value = std::env::var_os(variable);
        value.map(PathBuf::from).unwrap_or_else(|| panic!("{variable} must name {what}"))
    };
    let heddle = named("HEDDLE_TEST_BIN", "the heddle binary");
    let odoo = named("HEDDLE_TEST_ODOO", "an Odoo tree or virtual environment");
    // Tenants' users must be able to pass, and a socket's path is short.
    let root = rustix::process::geteuid().is_root();
    let parent = if root { PathBuf::from("/var/tmp") } else { std::env::temp_dir() };
    let top = tempfile::Builder::new().prefix("heddle-faults-").tempdir_in(parent).unwrap();
    fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
    // Kept for whoever looks for the reason, unless the test passes.
    let top = top.keep();
    if let Err(error) = walk::faults::run(&heddle, &odoo, &top).await {
        panic!("{error:#}\n{}", evidence(&top));
    }
    fs::remove_dir_all(&top).unwrap();
}

fn evidence(top: &Path) -> String {
    format!("{} is kept; heddle up's log ends with:\n{}", top.display(), last_lines(&top.join("data.log")))
}

fn last_lines(log: &Path) -> String {
    walk::platform::tail(log, 40)
}

//! 10,000 runs while everything goes wrong. HEDDLE_CHAOS_SEED and
//! HEDDLE_CHAOS_RUNS try others and more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use walk::chaos::{Plan, run};
use walk::platform::tail;

const SEED: u64 = 20_261_121;
const RUNS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn no_run_is_lost_and_none_finishes_twice() {
    let heddle = std::env::var_os("HEDDLE_TEST_BIN").expect("HEDDLE_TEST_BIN must name the heddle binary");
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse().expect("a number"));
    let plan = Plan {
        seed: number("HEDDLE_CHAOS_SEED").unwrap_or(SEED),
        runs: number("HEDDLE_CHAOS_RUNS").map_or(RUNS, |runs| runs as usize),
    };
    let top = tempfile::Builder::new().prefix("heddle-chaos-").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
    // Kept for whoever looks for the reason, unless the test passes.
    let top = top.keep();
    if let Err(error) = run(&PathBuf::from(heddle), &top, &plan).await {
        panic!(
            "{error:#}\n{} is kept; heddle up's log ends with:\n{}",
            top.display(),
            tail(&top.join("data.log"), 40)
        );
    }
    fs::remove_dir_all(&top).unwrap();
}

//! Fault points, in processes of their own: they kill them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::fault;

/// What the child processes of these tests run; without a folder it does nothing.
#[tokio::test]
async fn in_a_child() {
    let Some(seen) = std::env::var_os("FAULT_TEST_SEEN") else { return };
    let seen = Path::new(&seen);
    assert_eq!(fault::armed(), std::env::var_os(fault::FOLDER).is_some());
    fault::point("first");
    fs::write(seen.join("after-first"), "").unwrap();
    // On a runtime with one thread: the held point must let the other task run.
    let other = tokio::spawn({
        let seen = seen.to_owned();
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            fs::write(seen.join("other-task"), "").unwrap();
        }
    });
    fault::reach("second").await;
    fs::write(seen.join("after-second"), "").unwrap();
    other.await.unwrap();
}

fn child(seen: &Path, faults: Option<&Path>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "in_a_child"]).env("FAULT_TEST_SEEN", seen).stdout(Stdio::null());
    match faults {
        Some(folder) => command.env(fault::FOLDER, folder),
        None => command.env_remove(fault::FOLDER),
    };
    command.spawn().unwrap()
}

fn appears(path: &Path) {
    let until = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < until, "never: {}", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn unarmed_points_do_nothing() {
    let seen = tempfile::tempdir().unwrap();
    assert!(child(seen.path(), None).wait().unwrap().success());
    assert!(seen.path().join("after-second").exists());
}

#[test]
fn an_armed_point_kills_once() {
    let (seen, faults) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, before) in [("first", None), ("second", Some("after-first"))] {
        fs::write(faults.path().join(name), "").unwrap();
        let status = child(seen.path(), Some(faults.path())).wait().unwrap();
        assert_eq!(status.signal(), Some(9));
        assert!(!faults.path().join(name).exists() && faults.path().join(format!("{name}.reached")).exists());
        assert!(before.is_none_or(|before| seen.path().join(before).exists()));
        assert!(!seen.path().join("after-second").exists());
    }
    assert!(child(seen.path(), Some(faults.path())).wait().unwrap().success());
}

#[test]
fn a_held_point_waits_until_it_is_let_go() {
    let (seen, faults) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["first", "second"] {
        fs::write(faults.path().join(format!("{name}.hold")), "").unwrap();
    }
    let mut child = child(seen.path(), Some(faults.path()));
    appears(&faults.path().join("first.held"));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!seen.path().join("after-first").exists());
    fs::remove_file(faults.path().join("first.held")).unwrap();
    appears(&faults.path().join("second.held"));
    // The runtime goes on meanwhile.
    appears(&seen.path().join("other-task"));
    assert!(!seen.path().join("after-second").exists());
    fs::remove_file(faults.path().join("second.held")).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(seen.path().join("after-second").exists());
}

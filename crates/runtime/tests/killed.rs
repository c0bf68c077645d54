//! Whoever is killed, the truth about a program stays known and it can be
//! stopped and started.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::program::{Exit, ProgramSpec, ProgramState, RestartPolicy};
use runtime::Driver;
use support::{SHIM, Scratch, alive, content, ends, eventually, kill, running_pid};

/// A process of its own that starts the program, and then only waits.
fn start_elsewhere(scratch: &Scratch, spec: &ProgramSpec) -> Child {
    let mut child = Command::new(SHIM)
        .arg("start")
        .arg(scratch.programs())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(spec).unwrap()).unwrap();
    child
}

fn wait_for_started(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
}

#[tokio::test]
async fn an_exit_code_outlives_whoever_started_the_program() {
    let scratch = Scratch::new();
    let spec = scratch.sh("survivor", "while ! [ -e end ]; do sleep 0.01; done; echo last words; exit 42");
    let mut starter = start_elsewhere(&scratch, &spec);
    wait_for_started(&mut starter);
    starter.kill().unwrap();
    starter.wait().unwrap();

    let driver = scratch.driver();
    let pid = running_pid(&driver, &spec.id).await;
    // Adopted, not started again.
    driver.start(&spec).await.unwrap();
    assert_eq!(running_pid(&driver, &spec.id).await, pid);
    fs::write(scratch.path().join("end"), "").unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(42));
    // And for whoever comes later.
    assert_eq!(scratch.driver().state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Code(42)));
    assert_eq!(driver.log_tail(&spec.id, 1).await.unwrap(), ["last words"]);
}

#[tokio::test]
async fn many_processes_start_one_program_once() {
    let scratch = Scratch::new();
    let spec = scratch.sh("crowd", "echo $$ >> pids; exec sleep 1000");
    let mut starters: Vec<Child> = (0..8).map(|_| start_elsewhere(&scratch, &spec)).collect();
    starters.iter_mut().for_each(wait_for_started);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pids = content(&scratch.path().join("pids")).await;
    assert_eq!(pids, running_pid(&scratch.driver(), &spec.id).await.to_string());
    for mut starter in starters {
        starter.kill().unwrap();
        starter.wait().unwrap();
    }
}

#[tokio::test]
async fn a_program_that_dies_with_its_shim_has_an_unknown_end() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = scratch.sh("both", "exec sleep 1000");
    driver.start(&spec).await.unwrap();
    let pid = running_pid(&driver, &spec.id).await;
    kill(scratch.shim_pid(&spec.id), "KILL");
    // It gets the stop signal when its shim dies.
    assert_eq!(ends(&driver, &spec.id).await, Exit::Unknown);
    assert!(!alive(pid));
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Unknown));
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Unknown));
    driver.start(&spec).await.unwrap();
    assert_ne!(running_pid(&driver, &spec.id).await, pid);
}

/// A program that its shim's death does not end, with a child in a session of its own.
async fn orphan(scratch: &Scratch) -> (ProgramSpec, u32, u32) {
    let script = "
        trap 'echo asked >> asked' TERM
        setsid sh -c 'trap \"\" TERM; echo $$ > child; exec sleep 1000' &
        while :; do sleep 0.01; done
    ";
    let spec = ProgramSpec { grace: Duration::from_millis(300), ..scratch.sh("orphan", script) };
    let driver = scratch.driver();
    driver.start(&spec).await.unwrap();
    let child = content(&scratch.path().join("child")).await.parse().unwrap();
    let pid = running_pid(&driver, &spec.id).await;
    kill(scratch.shim_pid(&spec.id), "KILL");
    // The parent-death signal.
    content(&scratch.path().join("asked")).await;
    assert_eq!(running_pid(&driver, &spec.id).await, pid);
    (spec, pid, child)
}

#[tokio::test]
async fn a_program_without_its_shim_can_be_stopped() {
    let scratch = Scratch::new();
    let (spec, pid, child) = orphan(&scratch).await;
    let driver = scratch.driver();
    assert!(matches!(driver.remove(&spec.id).await, Err(runtime::DriverError::Running { .. })));
    let other = ProgramSpec { grace: Duration::from_secs(9), ..spec.clone() };
    assert!(matches!(driver.start(&other).await, Err(runtime::DriverError::Differs { .. })));
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Unknown));
    assert!(!alive(pid) && !alive(child));
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Unknown));
    scratch.assert_quiet();
    driver.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_program_without_its_shim_is_stopped_before_it_starts_again() {
    let scratch = Scratch::new();
    let (spec, pid, child) = orphan(&scratch).await;
    let driver = scratch.driver();
    driver.start(&spec).await.unwrap();
    assert!(!alive(pid) && !alive(child));
    assert_ne!(running_pid(&driver, &spec.id).await, pid);
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Signal(9)));
}

#[tokio::test]
async fn what_a_lost_program_left_is_found_by_its_mark() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > child; exec sleep 1000' & exec sleep 1000";
    let spec = scratch.sh("mark", script);
    driver.start(&spec).await.unwrap();
    let child = content(&scratch.path().join("child")).await.parse().unwrap();
    kill(scratch.shim_pid(&spec.id), "KILL");
    assert_eq!(ends(&driver, &spec.id).await, Exit::Unknown);
    assert!(alive(child));
    driver.start(&spec).await.unwrap();
    assert!(!alive(child));
}

#[tokio::test]
async fn a_shim_killed_in_a_pause_has_ended_its_program() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = ProgramSpec { restart: RestartPolicy::Always, ..scratch.sh("pause", "exit 1") };
    driver.start(&spec).await.unwrap();
    eventually("it pauses for long enough", async || {
        let state = driver.state(&spec.id).await.unwrap();
        matches!(state, ProgramState::Restarting { restarts: 2, .. }).then_some(())
    })
    .await;
    kill(scratch.shim_pid(&spec.id), "KILL");
    assert_eq!(ends(&driver, &spec.id).await, Exit::Unknown);
}

#[tokio::test]
async fn a_reused_pid_is_never_adopted_nor_signalled() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = scratch.sh("reused", "exec sleep 1000");
    driver.start(&spec).await.unwrap();
    let pid = running_pid(&driver, &spec.id).await;
    let shim = scratch.shim_pid(&spec.id);
    let mut status = scratch.status(&spec.id);
    kill(shim, "KILL");
    eventually("the program is gone", async || (!alive(pid)).then_some(())).await;

    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let true_start = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", bystander.id())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse::<u64>().unwrap()
    };
    for who in ["program", "shim"] {
        status[who]["pid"] = bystander.id().into();
        status[who]["start_time"] = (true_start() - 1).into();
    }
    let status_path = scratch.folder(&spec.id).join("status.json");
    fs::write(&status_path, status.to_string()).unwrap();
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Unknown));
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Unknown));
    assert!(alive(bystander.id()));

    // Pid and start time agree by chance, but it was another boot.
    for who in ["program", "shim"] {
        status[who]["start_time"] = true_start().into();
    }
    status["boot"] = "00000000-0000-0000-0000-000000000000".into();
    fs::write(&status_path, status.to_string()).unwrap();
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Unknown));
    driver.start(&spec).await.unwrap();
    assert_ne!(running_pid(&driver, &spec.id).await, bystander.id());
    driver.stop(&spec.id).await.unwrap();
    assert!(alive(bystander.id()));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_shim_that_does_not_answer_is_replaced() {
    // Takes the grace and what a shim may take to clear up, about 10 s.
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = ProgramSpec {
        grace: Duration::from_millis(100),
        ..scratch.sh("frozen", "trap '' TERM; while :; do sleep 0.01; done")
    };
    driver.start(&spec).await.unwrap();
    let pid = running_pid(&driver, &spec.id).await;
    kill(scratch.shim_pid(&spec.id), "STOP");
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Unknown));
    assert!(!alive(pid));
    scratch.assert_quiet();
}

#[tokio::test]
async fn a_start_during_a_stop_waits_and_starts_anew() {
    let scratch = Scratch::new();
    let spec =
        scratch.sh("again", "trap 'sleep 0.5; exit 0' TERM; echo up >> up; while :; do sleep 0.01; done");
    let first = scratch.driver();
    first.start(&spec).await.unwrap();
    content(&scratch.path().join("up")).await;
    let pid = running_pid(&first, &spec.id).await;
    // As a worker that was killed just after it had asked for the stop.
    kill(scratch.shim_pid(&spec.id), "TERM");
    eventually("the stop is under way", async || {
        (scratch.status(&spec.id)["stopping"] == true).then_some(())
    })
    .await;
    let second = scratch.driver();
    second.start(&spec).await.unwrap();
    assert!(!alive(pid));
    let new = running_pid(&second, &spec.id).await;
    assert_ne!(new, pid);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(running_pid(&second, &spec.id).await, new);
}

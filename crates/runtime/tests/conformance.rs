//! What every driver does, held against each of them.

mod support;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use model::program::{Exit, ProgramId, ProgramSpec, ProgramState, RestartPolicy};
use runtime::{Driver, DriverError, FakeDriver, ProcessDriver};
use support::{Scratch, ends, eventually};

/// A driver, and a hand on what its programs do.
trait Stage: Send + Sync + 'static {
    fn new() -> Self;
    fn driver(&self) -> &dyn Driver;
    /// A program that runs until it is told to end or to print.
    fn lasting(&self, id: &str) -> ProgramSpec;
    fn end(&self, id: &ProgramId, code: i32);
    fn print(&self, id: &ProgramId, line: &str);
    /// A program that cannot be started.
    fn broken(&self, id: &str) -> ProgramSpec;
}

struct Processes {
    scratch: Scratch,
    driver: ProcessDriver,
}

impl Stage for Processes {
    fn new() -> Self {
        let scratch = Scratch::new();
        let driver = scratch.driver();
        Self { scratch, driver }
    }

    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn lasting(&self, id: &str) -> ProgramSpec {
        let script = format!(
            "while sleep 0.01; do
               if [ -e {id}.say ]; then mv {id}.say {id}.said; cat {id}.said; fi
               if [ -e {id}.end ]; then mv {id}.end {id}.ended; exit $(cat {id}.ended); fi
             done"
        );
        self.scratch.sh(id, &script)
    }

    fn end(&self, id: &ProgramId, code: i32) {
        self.put(&format!("{id}.end"), &code.to_string());
    }

    fn print(&self, id: &ProgramId, line: &str) {
        self.put(&format!("{id}.say"), &format!("{line}\n"));
    }

    fn broken(&self, id: &str) -> ProgramSpec {
        ProgramSpec { argv: vec!["no/absolute/path".to_owned()], ..self.scratch.sh(id, "") }
    }
}

impl Processes {
    fn put(&self, name: &str, text: &str) {
        let new = self.scratch.path().join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.scratch.path().join(name)).unwrap();
    }
}

struct Fake {
    scratch: Scratch,
    driver: FakeDriver,
}

impl Stage for Fake {
    fn new() -> Self {
        Self { scratch: Scratch::new(), driver: FakeDriver::new() }
    }

    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn lasting(&self, id: &str) -> ProgramSpec {
        self.scratch.sh(id, "")
    }

    fn end(&self, id: &ProgramId, code: i32) {
        self.driver.end(id, Exit::Code(code));
    }

    fn print(&self, id: &ProgramId, line: &str) {
        self.driver.print(id, line);
    }

    fn broken(&self, id: &str) -> ProgramSpec {
        ProgramSpec { argv: vec!["no/absolute/path".to_owned()], ..self.scratch.sh(id, "") }
    }
}

macro_rules! conformance {
    ($($law:ident)*) => {
        mod process {
            $(#[tokio::test(flavor = "multi_thread")] async fn $law() { super::$law(<super::Processes as super::Stage>::new()).await })*
        }
        mod fake {
            $(#[tokio::test(flavor = "multi_thread")] async fn $law() { super::$law(<super::Fake as super::Stage>::new()).await })*
        }
    };
}

conformance! {
    what_was_never_started_is_absent
    a_started_program_runs_and_its_exit_is_kept
    an_ended_program_starts_anew
    the_same_spec_again_is_adopted_and_another_is_refused
    a_failed_start_leaves_what_was_before
    stop_ends_a_program_and_may_be_repeated
    waiting_ends_with_a_stop
    one_that_is_restarted_always_ends_only_by_a_stop
    only_what_does_not_run_can_be_removed
    the_list_has_all_in_order
    the_log_is_kept_over_runs
    concurrent_starts_are_one
}

async fn what_was_never_started_is_absent(stage: impl Stage) {
    let (driver, id) = (stage.driver(), "none".parse().unwrap());
    assert_eq!(driver.state(&id).await.unwrap(), ProgramState::Absent);
    assert_eq!(driver.spec(&id).await.unwrap(), None);
    assert_eq!(driver.stop(&id).await.unwrap(), None);
    assert!(matches!(driver.wait(&id).await, Err(DriverError::Absent { .. })));
    assert_eq!(driver.log_tail(&id, 10).await.unwrap(), Vec::<String>::new());
    assert_eq!(driver.list().await.unwrap(), []);
    driver.remove(&id).await.unwrap();
}

async fn a_started_program_runs_and_its_exit_is_kept(stage: impl Stage) {
    let (driver, spec) = (stage.driver(), stage.lasting("one"));
    driver.start(&spec).await.unwrap();
    assert!(matches!(driver.state(&spec.id).await.unwrap(), ProgramState::Running { restarts: 0, .. }));
    assert_eq!(driver.spec(&spec.id).await.unwrap(), Some(spec.clone()));
    stage.end(&spec.id, 7);
    assert_eq!(ends(driver, &spec.id).await, Exit::Code(7));
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Code(7)));
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Code(7)));
    assert_eq!(ends(driver, &spec.id).await, Exit::Code(7));
    assert_eq!(driver.spec(&spec.id).await.unwrap(), Some(spec));
}

async fn an_ended_program_starts_anew(stage: impl Stage) {
    let (driver, spec) = (stage.driver(), stage.lasting("again"));
    driver.start(&spec).await.unwrap();
    stage.end(&spec.id, 1);
    ends(driver, &spec.id).await;
    // Another spec is welcome now.
    let other = ProgramSpec { grace: Duration::from_secs(9), ..spec.clone() };
    driver.start(&other).await.unwrap();
    assert!(matches!(driver.state(&spec.id).await.unwrap(), ProgramState::Running { restarts: 0, .. }));
    assert_eq!(driver.spec(&spec.id).await.unwrap(), Some(other));
    stage.end(&spec.id, 2);
    assert_eq!(ends(driver, &spec.id).await, Exit::Code(2));
}

async fn the_same_spec_again_is_adopted_and_another_is_refused(stage: impl Stage) {
    let (driver, spec) = (stage.driver(), stage.lasting("same"));
    driver.start(&spec).await.unwrap();
    let before = driver.state(&spec.id).await.unwrap();
    driver.start(&spec).await.unwrap();
    let other = ProgramSpec { grace: Duration::from_secs(9), ..spec.clone() };
    assert!(matches!(driver.start(&other).await, Err(DriverError::Differs { .. })));
    assert_eq!(driver.state(&spec.id).await.unwrap(), before);
    assert_eq!(driver.spec(&spec.id).await.unwrap(), Some(spec));
}

async fn a_failed_start_leaves_what_was_before(stage: impl Stage) {
    let driver = stage.driver();
    let broken = stage.broken("broken");
    let error = driver.start(&broken).await.unwrap_err();
    assert!(
        matches!(&error, DriverError::Start { reason, .. } if reason.contains("not absolute")),
        "{error}"
    );
    assert_eq!(driver.state(&broken.id).await.unwrap(), ProgramState::Absent);
    assert_eq!(driver.spec(&broken.id).await.unwrap(), None);
    assert_eq!(driver.list().await.unwrap(), []);

    let good = stage.lasting("broken");
    driver.start(&good).await.unwrap();
    stage.end(&good.id, 3);
    ends(driver, &good.id).await;
    driver.start(&broken).await.unwrap_err();
    assert_eq!(driver.state(&good.id).await.unwrap(), ProgramState::Ended(Exit::Code(3)));
    assert_eq!(driver.spec(&good.id).await.unwrap(), Some(good));
}

async fn stop_ends_a_program_and_may_be_repeated(stage: impl Stage) {
    let (driver, spec) = (stage.driver(), stage.lasting("stop"));
    driver.start(&spec).await.unwrap();
    let exit = driver.stop(&spec.id).await.unwrap();
    assert_eq!(exit, Some(Exit::Signal(15)));
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Ended(Exit::Signal(15)));
    assert_eq!(driver.stop(&spec.id).await.unwrap(), exit);
    driver.start(&spec).await.unwrap();
    assert!(matches!(driver.state(&spec.id).await.unwrap(), ProgramState::Running { .. }));
}

async fn waiting_ends_with_a_stop(stage: impl Stage) {
    let stage = Arc::new(stage);
    let spec = stage.lasting("wait");
    stage.driver().start(&spec).await.unwrap();
    let waiting = tokio::spawn({
        let (stage, id) = (Arc::clone(&stage), spec.id.clone());
        async move { stage.driver().wait(&id).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    stage.driver().stop(&spec.id).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Exit::Signal(15));
}

async fn one_that_is_restarted_always_ends_only_by_a_stop(stage: impl Stage) {
    let driver = stage.driver();
    let spec = ProgramSpec { restart: RestartPolicy::Always, ..stage.lasting("always") };
    driver.start(&spec).await.unwrap();
    for count in 1..=2 {
        stage.end(&spec.id, 0);
        eventually("it runs again", async || {
            let state = driver.state(&spec.id).await.unwrap();
            assert!(!matches!(state, ProgramState::Ended(_)), "{state:?}");
            matches!(state, ProgramState::Running { restarts, .. } if restarts == count).then_some(())
        })
        .await;
    }
    let waiting = tokio::time::timeout(Duration::from_millis(100), driver.wait(&spec.id)).await;
    assert!(waiting.is_err());
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Signal(15)));
    assert_eq!(ends(driver, &spec.id).await, Exit::Signal(15));
}

async fn only_what_does_not_run_can_be_removed(stage: impl Stage) {
    let (driver, spec) = (stage.driver(), stage.lasting("remove"));
    driver.start(&spec).await.unwrap();
    assert!(matches!(driver.remove(&spec.id).await, Err(DriverError::Running { .. })));
    driver.stop(&spec.id).await.unwrap();
    driver.remove(&spec.id).await.unwrap();
    assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Absent);
    assert_eq!(driver.spec(&spec.id).await.unwrap(), None);
    assert_eq!(driver.list().await.unwrap(), []);
    driver.remove(&spec.id).await.unwrap();
    driver.start(&spec).await.unwrap();
}

async fn the_list_has_all_in_order(stage: impl Stage) {
    let driver = stage.driver();
    for id in ["b", "a", "c"] {
        driver.start(&stage.lasting(id)).await.unwrap();
    }
    stage.end(&"b".parse().unwrap(), 5);
    ends(driver, &"b".parse().unwrap()).await;
    let list = driver.list().await.unwrap();
    assert_eq!(list.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(list[1].1, ProgramState::Ended(Exit::Code(5)));
    for (id, state) in [&list[0], &list[2]] {
        assert_eq!(*state, driver.state(id).await.unwrap());
    }
}

async fn the_log_is_kept_over_runs(stage: impl Stage) {
    let (driver, spec) = (stage.driver(), stage.lasting("log"));
    let mut expected: Vec<String> = Vec::new();
    for line in ["first", "second"] {
        driver.start(&spec).await.unwrap();
        stage.print(&spec.id, line);
        expected.push(line.to_owned());
        eventually("the line is in the log", async || {
            (driver.log_tail(&spec.id, 10).await.unwrap() == expected).then_some(())
        })
        .await;
        driver.stop(&spec.id).await.unwrap();
    }
    assert_eq!(driver.log_tail(&spec.id, 1).await.unwrap(), ["second"]);
}

async fn concurrent_starts_are_one(stage: impl Stage) {
    let stage = Arc::new(stage);
    let spec = stage.lasting("crowd");
    let starts: Vec<_> = (0..20)
        .map(|_| {
            let (stage, spec) = (Arc::clone(&stage), spec.clone());
            tokio::spawn(async move {
                stage.driver().start(&spec).await.unwrap();
                stage.driver().state(&spec.id).await.unwrap()
            })
        })
        .collect();
    let mut states = Vec::new();
    for start in starts {
        states.push(start.await.unwrap());
    }
    states.dedup();
    assert_eq!(states.len(), 1, "{states:?}");
}

//! Stopping the programs that worker and `up` have started: Odoos first, then
//! cells, the management cluster last.

use std::collections::HashMap;
use std::sync::Arc;

use model::program::{ProgramId, ProgramState};
use runtime::{Driver, DriverError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use super::management;
use crate::failure::Failure;

/// In which order kinds of programs stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Odoo,
    Cluster,
    Management,
}

pub fn kind(id: &ProgramId) -> Kind {
    if *id == management::program_id() {
        return Kind::Management;
    }
    match id.as_str().split('-').next() {
        Some("cell" | "peek" | "recovery" | "template") => Kind::Cluster,
        _ => Kind::Odoo,
    }
}

/// Programs as people know them, by the lineages that tenants serve.
#[derive(Debug, Default)]
pub struct Names(pub HashMap<String, String>);

impl Names {
    pub fn of(&self, id: &ProgramId) -> String {
        let (what, rest) = id.as_str().split_once('-').unwrap_or((id.as_str(), ""));
        match (what, self.0.get(rest)) {
            ("odoo", Some(tenant)) => format!("{tenant}'s Odoo"),
            ("cell", Some(tenant)) => format!("{tenant}'s cluster"),
            ("management", _) => "the management cluster".into(),
            _ => id.to_string(),
        }
    }
}

/// Programs of one kind that are being stopped.
pub struct Stopping {
    driver: Arc<dyn Driver>,
    kind: Kind,
    left: Vec<ProgramId>,
    tasks: JoinSet<(ProgramId, Result<(), DriverError>)>,
}

impl Stopping {
    /// Begins to stop every program of the kind that runs.
    pub async fn begin(driver: Arc<dyn Driver>, kind: Kind) -> Result<Self, Failure> {
        let listed = driver.list().await;
        let listed = listed.map_err(|error| Failure::while_trying("list the running programs", &error))?;
        let mut tasks = JoinSet::new();
        let mut left = Vec::new();
        for (id, state) in listed {
            if self::kind(&id) != kind || matches!(state, ProgramState::Ended(_) | ProgramState::Absent) {
                continue;
            }
            left.push(id.clone());
            let driver = Arc::clone(&driver);
            tasks.spawn(async move {
                let stopped = driver.stop(&id).await.map(|_| ());
                (id, stopped)
            });
        }
        Ok(Self { driver, kind, left, tasks })
    }

    /// What it waits for.
    pub fn left(&self) -> &[ProgramId] {
        &self.left
    }

    /// The next one that has stopped, or could not be; None: all have. Safe to drop.
    pub async fn next(&mut self) -> Option<Result<ProgramId, Failure>> {
        let (id, stopped) = self.tasks.join_next().await?.ok()?;
        self.left.retain(|left| *left != id);
        Some(match stopped {
            Ok(()) => Ok(id),
            Err(error) => Err(Failure::while_trying(format!("stop {id}"), &error)),
        })
    }

    /// Does not wait for requests under way any longer: Odoo is killed, and
    /// clusters drop their sessions, to recover at the next start.
    pub async fn hasten(&self) {
        let signal = if self.kind == Kind::Odoo { Signal::KILL } else { Signal::QUIT };
        for id in &self.left {
            let Ok(ProgramState::Running { pid, .. }) = self.driver.state(id).await else { continue };
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                // It may have ended just now.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odoos_stop_before_clusters() {
        let kind = |id: &str| kind(&id.parse().unwrap());
        assert!(
            kind("odoo-1") < kind("cell-1")
                && kind("odoo-1") < kind("peek-1")
                && kind("init-1") < kind("template-1")
        );
        assert!(kind("recovery-1") < kind("management"));
    }

    #[test]
    fn programs_are_called_by_their_tenants() {
        let names = Names(HashMap::from([("1".to_owned(), "acme".to_owned())]));
        assert_eq!(names.of(&"odoo-1".parse().unwrap()), "acme's Odoo");
        assert_eq!(names.of(&"cell-2".parse().unwrap()), "cell-2");
    }
}

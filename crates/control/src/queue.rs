//! Runs that are asked for as such: probes, and backups of a tenant. All others
//! follow from what is asked for.

use std::collections::HashMap;

use database::On;
use database::run::{About, NewRun as Row, Unqueued};
use model::run::RunKind;
use model::{EnvironmentId, ProjectId, RunId};
use protocol::api::{NewRun, NewRuns, QueuedRun, QueuedRuns};
use sha2::{Digest, Sha256};

use crate::project::Known;
use crate::{Asked, Control, Error, Refusal, Result};

/// In one request.
const MOST_RUNS: usize = 1000;

/// Bytes of a run's metadata, as JSON.
const LONGEST_METADATA: usize = 16 << 10;

impl Control {
    /// Queues them, all or none. What was asked for before, under the same
    /// idempotency key, or is under way, under the same unique key, is answered
    /// with the run that is there.
    pub async fn queue_runs(&self, asked: &Asked, new: NewRuns) -> Result<QueuedRuns> {
        if !(1..=MOST_RUNS).contains(&new.runs.len()) {
            let detail = format!("{} runs are asked for, not 1 to {MOST_RUNS}", new.runs.len());
            return Err(Refusal::invalid(detail).into());
        }
        for run in &new.runs {
            check(run)?;
        }
        let alone = new.runs.iter().all(|run| run.kind.stands_alone());
        // Where nothing is looked for in a project, the database alone decides whether it may be seen.
        let whole = new.runs.iter().all(|run| run.environment.is_none() && run.tenant.is_none());
        let database = self.database().await?;
        let mut places = Places { known: whole.then_some(&self.inner.projects), ..Places::default() };
        let mut rows = Vec::with_capacity(new.runs.len());
        for (nth, run) in new.runs.into_iter().enumerate() {
            let key = key(asked, nth, &run)?;
            let project = places.project(&database, &run.project).await?;
            let environment = match &run.environment {
                Some(name) => Some(places.environment(&database, project, &run.project, name).await?),
                None => None,
            };
            let about = match (run.kind, &run.tenant) {
                (RunKind::Backup, Some(tenant)) => {
                    let tenant = crate::tenant::find(&database, tenant).await?;
                    crate::snapshot::serves(&tenant)?;
                    About::Backup(tenant.id)
                }
                _ => About::Probe,
            };
            let mut row = Row::new(project, about);
            row.environment = environment;
            row.sha = run.sha;
            row.git_ref = run.git_ref;
            row.metadata = run.metadata;
            row.priority = run.priority;
            row.labels = run.labels;
            row.attempts = run.attempts;
            row.deadline = run.deadline;
            row.run_at = run.run_at;
            row.unique_key = run.unique_key;
            row.key = key;
            row.after = run.after.into_iter().map(RunId).collect();
            rows.push(row);
        }
        let unqueued = match database::run::queue(&database, &asked.by.to_string(), &rows).await {
            Ok(unqueued) => unqueued,
            Err(error) => {
                // A project that is not theirs to see is none that they have named.
                places.see(&database).await?;
                return Err(error.into());
            }
        };
        let unqueued: HashMap<RunId, Unqueued> = unqueued.into_iter().collect();
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(match unqueued.get(&row.id) {
                None => QueuedRun { id: row.id.0, new: true },
                Some(Unqueued::Before(run) | Unqueued::Busy(Some(run))) => {
                    QueuedRun { id: run.0, new: false }
                }
                Some(Unqueued::Busy(None)) => {
                    return Err(Refusal::wrong_state("a run of the same has just ended; ask again").into());
                }
            });
        }
        match alone {
            true => self.queued_alone(),
            false => self.queued(),
        }
        Ok(QueuedRuns { runs })
    }
}

/// What the runs of one request name, each looked up once.
#[derive(Default)]
struct Places<'a> {
    known: Option<&'a Known>,
    projects: HashMap<String, ProjectId>,
    environments: HashMap<(ProjectId, String), EnvironmentId>,
}

impl Places<'_> {
    async fn project(&mut self, on: &impl On, name: &str) -> Result<ProjectId> {
        if let Some(known) = self.projects.get(name) {
            return Ok(*known);
        }
        let found = match self.known.and_then(|known| known.get(name)) {
            Some(known) => known,
            None => {
                let found = crate::project::find(on, name).await?.id;
                if let Some(known) = self.known {
                    known.keep(name, found);
                }
                found
            }
        };
        self.projects.insert(name.to_owned(), found);
        Ok(found)
    }

    /// Refuses as if they had been looked up, if one of them may not be seen.
    async fn see(&self, on: &impl On) -> Result<()> {
        for name in self.projects.keys() {
            crate::project::find(on, name).await?;
        }
        Ok(())
    }

    async fn environment(
        &mut self,
        on: &impl On,
        project: ProjectId,
        of: &str,
        name: &str,
    ) -> Result<EnvironmentId> {
        let place = (project, name.to_owned());
        if let Some(known) = self.environments.get(&place) {
            return Ok(*known);
        }
        let whole = match name.parse::<EnvironmentId>().is_ok() || name.contains('/') {
            true => name.to_owned(),
            false => format!("{}/{name}", crate::project::find(on, of).await?.name),
        };
        let found = crate::environment::find(on, &whole).await?;
        if found.project_id != project {
            let detail = format!("the environment {whole} is not one of the project {of}");
            return Err(Refusal::invalid(detail).into());
        }
        self.environments.insert(place, found.id);
        Ok(found.id)
    }
}

/// A run's own key, else its place under the request's.
fn key(asked: &Asked, nth: usize, run: &NewRun) -> Result<Option<(String, [u8; 32])>> {
    let key = match (&run.idempotency_key, &asked.idempotency_key) {
        (Some(own), _) => own.clone(),
        (None, Some(request)) => format!("{request}#{nth}"),
        (None, None) => return Ok(None),
    };
    let body = NewRun { idempotency_key: None, ..run.clone() };
    let body = serde_json::to_vec(&body).map_err(|source| Error::Stored { what: "the request", source })?;
    Ok(Some((key, Sha256::digest(body).into())))
}

fn check(run: &NewRun) -> Result<(), Refusal> {
    let length = |text: &Option<String>, most: usize, what: &str| match text {
        Some(text) if text.is_empty() || text.chars().count() > most || text.contains('\0') => {
            Err(Refusal::invalid(format!("{what} must have 1 to {most} characters")))
        }
        _ => Ok(()),
    };
    length(&run.idempotency_key, 200, "an idempotency key")?;
    length(&run.unique_key, 200, "a unique key")?;
    length(&run.git_ref, 255, "a ref")?;
    match (run.kind, &run.tenant) {
        (RunKind::Probe, None) | (RunKind::Backup, Some(_)) => {}
        (RunKind::Backup, None) => {
            return Err(Refusal::invalid("a backup is of a tenant").hint("name it as `tenant`"));
        }
        (RunKind::Probe, Some(_)) => return Err(Refusal::invalid("a probe is of no tenant")),
        (kind, _) => {
            return Err(Refusal::invalid(format!("a {kind} is not asked for as a run")).hint(
                "ask for what it is for: a build, a tenant, a snapshot, a restore; its run is in the answer",
            ));
        }
    }
    if let Some(sha) = &run.sha
        && !((7..=64).contains(&sha.len()) && sha.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    {
        return Err(Refusal::invalid(format!("{sha:?} is not a commit's id"))
            .hint("7 to 64 hexadecimal digits, in small letters"));
    }
    if let Some(metadata) = &run.metadata {
        if !metadata.is_object() {
            return Err(Refusal::invalid("a run's metadata must be an object"));
        }
        let long = serde_json::to_vec(metadata).map_or(usize::MAX, |text| text.len());
        if long > LONGEST_METADATA {
            return Err(Refusal::invalid("a run's metadata must not be longer than 16 KiB"));
        }
    }
    if run.after.len() > 100 {
        return Err(Refusal::invalid("a run waits for at most 100 others"));
    }
    crate::worker::check_labels(&run.labels)?;
    let within = |number: Option<i32>, most: i32, what: &str| match number {
        Some(number) if !(1..=most).contains(&number) => {
            Err(Refusal::invalid(format!("{what} must be 1 to {most}, not {number}")))
        }
        _ => Ok(()),
    };
    within(run.attempts, 100, "a run's attempts")?;
    within(run.deadline, 7 * 24 * 60 * 60, "a run's deadline, in seconds,")
}

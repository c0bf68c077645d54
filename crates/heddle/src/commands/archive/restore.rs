use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use archive::standalone::{Destination, Restored, Standalone, StandaloneError, Step};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::BackupId;
use model::archive::History;
use model::restore::{self, Plan, PlanError, Stop, Target};
use postgres::{Binaries, ShellCommand};
use serde::Serialize;

use super::Place;
use super::verify::Progress;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{bytes, facts, table};
use crate::ports;
use crate::time::{When, local, local_exact};

/// Give a tenant back into a folder, out of the repository alone
///
/// Needs PostgreSQL, the repository or a copy of it, and its key file: no
/// control, no worker, no machine that ever saw the tenant. The folder then
/// holds a stopped cluster of its own and the attachments. The repository is
/// only read, and what becomes of the folder does not reach it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
        heddle archive restore acme --latest --to /srv/acme --repository /mnt/copy\n  \
        heddle archive restore acme --at '2026-11-21 11:35:51' --to /srv/acme --plan\n  \
        heddle archive restore acme --snapshot before-mistake --to /srv/acme\n  \
        heddle archive restore acme --backup 0199c0de-5a1e-7000-8000-00000000b001 --to /srv/acme\n  \
        heddle archive restore acme --latest --to /srv/acme --repository s3://backups/heddle --key-file repository.key")]
#[group(id = "point", required = true, multiple = false, args = ["at", "snapshot", "backup", "latest"])]
pub struct Restore {
    /// Which tenant, by its id or its database's name
    tenant: String,
    #[command(flatten)]
    place: Place,
    /// As it was at a time: `2026-11-21 11:35:51` (local), RFC 3339, or relative, such as `5m ago`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<When>,
    /// As it was at a snapshot, by its name or id
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    /// As a base backup has it, by the backup's id; `heddle archive expire --plan` shows those that are kept
    #[arg(long, value_name = "BACKUP")]
    backup: Option<BackupId>,
    /// As new as the repository has it
    #[arg(long)]
    latest: bool,
    /// A new folder, of whoever runs this
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Only show the plan
    #[arg(long)]
    plan: bool,
}

#[derive(Serialize)]
struct Done {
    plan: Plan,
    /// None: only the plan was asked for.
    restored: Option<Restored>,
}

impl Restore {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let now = Timestamp::now();
        let repository = self.place.open(context).await?;
        let archive = repository.tenant(super::find(&repository, &self.tenant).await?);
        let inventory =
            archive.history().await.map_err(|error| super::reading(repository.location(), &error))?;
        for finding in &inventory.findings {
            context.output.note(format!("warning: {finding}"));
        }
        let history = inventory.history;
        let plan = self.make_plan(&history, now)?;
        let shown = plan_text(&history, &plan);
        if self.plan {
            return context.output.result(&Done { plan, restored: None }, |_| shown);
        }
        context.output.note(shown);

        let to = std::path::absolute(&self.to)
            .map_err(|error| Failure::while_trying(format!("find {}", self.to.display()), &error))?;
        let binaries = Binaries::find(context.settings.postgres_bin.as_deref())
            .map_err(|error| Failure::while_trying("find PostgreSQL", &error).hint(error.hint()))?;
        let user = context.settings.service_user()?;
        let to = Destination::create(&to).map_err(failure)?;
        let program = lend_program(to.path())?;
        let how = Standalone {
            fetch: fetch(&program, &to.wal_socket())?,
            identity: user.as_ref().map(postgres::OsUser::identity),
            port: ports::free(None).map_err(|error| Failure::while_trying("find a free port", &error))?,
            attachments: odoo::sql::attachments_sql(),
            binaries,
            to,
        };
        let bin = how.binaries.dir().to_owned();
        let output = context.output;
        let progress = std::sync::Arc::new(Progress::new(output));
        let told = progress.clone();
        let restored = archive.restore_standalone(&plan, how, move |step| match step {
            Step::Copying { done, of } => told.tell(done, of),
            step => {
                told.end();
                output.note(doing(step));
            }
        });
        let restored = restored.await;
        progress.end();
        let _ = fs::remove_file(&program);
        let restored = restored.map_err(failure)?;
        let user = user.map(|user| user.name);
        let done = Done { plan, restored: Some(restored.clone()) };
        context.output.result(&done, |_| text(&restored, &bin, user.as_deref()))?;
        if !restored.missing.is_empty() {
            context.output.note(format!(
                "warning: the repository does not have {} of the attachments that the database names, such as {}",
                restored.missing.len(),
                restored.missing[0]
            ));
        }
        match restored.damaged.first() {
            None => Ok(()),
            Some(first) => Err(Failure::new(
                Exit::Findings,
                "findings",
                format!(
                    "{} attachments are damaged in the repository, such as {first}",
                    restored.damaged.len()
                ),
            )
            .hint("all else was given back; `heddle archive verify` tells what is damaged")),
        }
    }

    fn make_plan(&self, history: &History, now: Timestamp) -> Result<Plan, Failure> {
        let refused = |error: PlanError| Failure::new(Exit::Refused, "no-plan", error.to_string());
        if let Some(backup) = self.backup {
            return restore::plan_backup(history, backup).map_err(refused);
        }
        let target = match (&self.at, &self.snapshot) {
            (Some(at), _) => Target::Time(at.resolve(now, &TimeZone::system())?),
            (None, Some(wanted)) => Target::Snapshot(find_snapshot(history, wanted)?),
            (None, None) => Target::Time(now),
        };
        // What there is can be given back, whatever retention meant to keep.
        let plan = restore::plan(history, target, now, Duration::MAX).map_err(refused)?;
        Ok(if self.latest { Plan { stop: Stop::End, ..plan } } else { plan })
    }
}

fn find_snapshot(history: &History, wanted: &str) -> Result<model::SnapshotId, Failure> {
    let fits =
        |point: &&model::archive::SnapshotPoint| point.name == wanted || point.id.to_string() == wanted;
    let found: Vec<_> = history.snapshots.iter().filter(fits).collect();
    match found[..] {
        [point] => Ok(point.id),
        [] => {
            let names: Vec<_> = history.snapshots.iter().map(|point| point.name.as_str()).collect();
            let failure = Failure::new(Exit::Refused, "not-found", format!("there is no snapshot {wanted}"));
            Err(failure.hint(match names.is_empty() {
                true => "the tenant has no snapshots; give a time with --at".to_owned(),
                false => format!("there are {}", names.join(", ")),
            }))
        }
        _ => {
            let ids: Vec<_> =
                found.iter().map(|point| format!("{} ({})", point.id, local(point.at))).collect();
            let detail = format!("{} snapshots are named {wanted}", found.len());
            Err(Failure::new(Exit::Refused, "ambiguous", detail)
                .hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

/// PostgreSQL's user may not be able to reach this program where it is.
fn lend_program(folder: &Path) -> Result<PathBuf, Failure> {
    let program = folder.join("heddle");
    std::env::current_exe()
        .and_then(|own| fs::copy(own, &program))
        .and_then(|_| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)))
        .map_err(|error| {
            Failure::while_trying(format!("copy this program to {}", program.display()), &error)
        })?;
    Ok(program)
}

fn fetch(program: &Path, socket: &Path) -> Result<ShellCommand, Failure> {
    let fetch = postgres::Archive::over_socket(program, socket).map(|archive| archive.fetch);
    fetch.map_err(|error| Failure::while_trying("prepare the recovery", &error))
}

fn failure(error: StandaloneError) -> Failure {
    match error {
        StandaloneError::NotEmpty(_) => Failure::new(Exit::Refused, "taken", error.to_string()),
        error => Failure::while_trying("give the tenant back", &error)
            .hint("the repository was only read; `heddle archive verify` checks it. Remove the folder before the next try"),
    }
}

fn doing(step: Step) -> &'static str {
    match step {
        Step::Copying { .. } => "Copying the base backup",
        Step::PlacingWal => "Fetching the WAL",
        Step::Replaying => "Replaying the WAL",
        Step::ReplayingToEnd => "There was no later commit; replaying to the end of the WAL",
        Step::PlacingFiles => "Giving back the attachments",
    }
}

fn plan_text(history: &History, plan: &Plan) -> String {
    let backup = history.backups.iter().find(|backup| backup.id == plan.backup);
    let backup = backup.map_or_else(String::new, |backup| {
        format!("{}, taken {}, {}", backup.id, local(backup.stopped_at), bytes(backup.size))
    });
    let wal = plan.wal.iter().map(|range| range.to.0.saturating_sub(range.from.0)).sum();
    let stop = match &plan.stop {
        Stop::Name { lsn, .. } => format!("at the snapshot's point, {lsn}"),
        Stop::Time(at) => format!("before the first commit after {}", local_exact(*at)),
        Stop::Lsn(lsn) => format!("before {lsn}"),
        Stop::Consistent => "as soon as the base backup is consistent".to_owned(),
        Stop::End => format!("at the end of the WAL, {} or later", plan.end),
    };
    let mut text = facts([
        ("restore from lineage", plan.source.to_string()),
        ("base backup", backup),
        ("WAL to replay", bytes(wal)),
        ("stop", stop),
    ]);
    text.push('\n');
    let rows = plan.wal.iter().map(|range| {
        [
            range.lineage.to_string(),
            range.timeline.0.to_string(),
            range.from.to_string(),
            range.to.to_string(),
        ]
    });
    text + &table(["lineage", "timeline", "from", "to"], rows, "")
}

fn text(restored: &Restored, bin: &Path, user: Option<&str>) -> String {
    let (data, socket) = (restored.data_dir.display(), restored.socket_dir.display());
    let (port, database) = (restored.port, &restored.database);
    let run_as = user.map_or(String::new(), |user| format!("runuser -u {user} -- "));
    let mut text = facts([
        ("data directory", data.to_string()),
        ("database", database.clone()),
        ("filestore", format!("{}/filestore/{database}", restored.odoo_dir.display())),
        ("attachments", restored.files.to_string()),
        ("replayed to", format!("{}, timeline {}", restored.reached, restored.timeline.0)),
    ]);
    text += &format!(
        "\nIt is stopped. Start it:\n  {run_as}{bin}/pg_ctl -D {data} -l {data}/postgres.log start\n\
         Talk to it:\n  {bin}/psql -h {socket} -p {port} -U {superuser} {database}\n\
         Its roles have the passwords of that time; give Odoo's a new one there with \\password odoo.\n\
         Run an Odoo of the same build with --data-dir {odoo}, which its user must own,\n\
         and --db_host 127.0.0.1 --db_port {port}.\n",
        bin = bin.display(),
        superuser = postgres::SUPERUSER,
        odoo = restored.odoo_dir.display(),
    );
    text
}

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::restore::RestoreState;
use protocol::api::{NewRestore, Restore as Restored, RestorePlan};
use uuid::Uuid;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::Wait;
use crate::output::{bytes, facts, table};
use crate::time::{When, local, local_exact};

/// Give a tenant back as it was, database and files
///
/// Shows the plan first and changes nothing without a yes. The tenant serves
/// its present state until the restored one is ready and checked; what it
/// serves now is kept aside, and can be restored to in its turn.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle restore acme --to before-mistake\n  \
        heddle restore acme --at '2026-11-21 11:35:51' --yes\n  heddle restore acme --at '5m ago'")]
#[group(id = "target", required = true, multiple = false, args = ["to", "at", "confirm"])]
pub struct Restore {
    /// Which tenant
    tenant: String,
    /// To a snapshot, by its name or id
    #[arg(long, value_name = "SNAPSHOT")]
    to: Option<String>,
    /// To a time: `2026-11-21 11:35:51` (local), RFC 3339, or relative, such as `-90s` or `5m ago`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<When>,
    /// Carry out a plan that was made before
    #[arg(long, value_name = "RESTORE")]
    confirm: Option<Uuid>,
    /// Act without asking
    #[arg(long)]
    yes: bool,
    /// Do not wait for a maintenance window
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Restore {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let now = Timestamp::now();
        let api = context.api()?;
        let mut restore = match self.confirm {
            Some(id) => api.restore(id).await?,
            None => {
                let at = self.at.map(|at| at.resolve(now, &TimeZone::system())).transpose()?;
                let asked = api.create_restore(&self.tenant, &NewRestore { snapshot: self.to, at }).await?;
                if asked.state == RestoreState::Planning {
                    context.await_run(&api, asked.run, "planning the restore").await?;
                }
                api.restore(asked.id).await?
            }
        };
        if restore.tenant != self.tenant {
            let detail = format!("restore {} is of {}, not of {}", restore.id, restore.tenant, self.tenant);
            return Err(Failure::new(Exit::Refused, "wrong-tenant", detail));
        }
        if restore.state == RestoreState::Planned && !self.yes {
            if context.output.json {
                // The plan is the result, even though the command has not acted.
                context.output.result(&restore, text)?;
            } else {
                context.output.note(text(&restore));
            }
            let hint = format!(
                "nothing was changed; carry it out with `heddle restore {} --confirm {} --yes`",
                restore.tenant, restore.id
            );
            let tenant = &restore.tenant;
            context.confirm(
                &format!("Restore {tenant} as planned?"),
                &format!("restoring {tenant}"),
                &hint,
            )?;
        } else if !context.output.json {
            context.output.note(text(&restore));
        }
        restore = api.confirm_restore(restore.id, self.now).await?;
        let run = api.run(restore.run).await?;
        if let Some(opens) = run.run_at.filter(|at| !run.state.ended() && *at > Timestamp::now()) {
            context.output.note(format!(
                "It waits for a maintenance window, which opens {}. Without waiting: cancel the run {}, and ask \
                 again with --now.\n",
                local(opens),
                run.id
            ));
        } else if self.wait.wanted() {
            context.follow(&api, restore.run, &format!("the restore of {}", restore.tenant)).await?;
            restore = api.restore(restore.id).await?;
        }
        context.output.result(&restore, |restore| match restore.state {
            RestoreState::Succeeded => {
                format!("{} is served as it was {}.\n", restore.tenant, target(restore))
            }
            state => format!("The restore is {state}.\n"),
        })
    }
}

fn target(restore: &Restored) -> String {
    match (&restore.snapshot, restore.at) {
        (Some(name), _) => format!("at the snapshot {name}"),
        (None, Some(at)) => format!("at {}", local_exact(at)),
        (None, None) => "before".into(),
    }
}

fn text(restore: &Restored) -> String {
    let mut text = format!("Restore {} to what it was {}\n\n", restore.tenant, target(restore));
    if let Some(plan) = &restore.plan {
        text += &plan_text(plan);
    }
    text
}

fn plan_text(plan: &RestorePlan) -> String {
    let mut text = facts([
        ("restore from lineage", plan.source_lineage.to_string()),
        ("kept aside", format!("{} (served now)", plan.current_lineage)),
        (
            "base backup",
            format!("{}, taken {}, {}", plan.backup, local(plan.backup_taken_at), bytes(plan.backup_bytes)),
        ),
        ("WAL to replay", bytes(plan.wal_bytes)),
    ]);
    text.push('\n');
    let rows = plan.lineages.iter().map(|part| {
        [part.lineage.to_string(), part.timeline.to_string(), part.from.clone(), part.to.clone()]
    });
    text += &table(["lineage", "timeline", "from", "to"], rows, "");
    text.push('\n');
    for (index, step) in plan.steps.iter().enumerate() {
        text += &format!("{:>2}. {step}\n", index + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_well() {
        let id = |last: u8| Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        let restore = Restored {
            id: id(1),
            tenant: "acme".into(),
            state: RestoreState::Planned,
            snapshot: Some("before-mistake".into()),
            at: None,
            plan: Some(RestorePlan {
                source_lineage: id(2),
                current_lineage: id(2),
                backup: id(3),
                backup_taken_at: Timestamp::UNIX_EPOCH,
                backup_bytes: 22 << 20,
                wal_bytes: 3 << 20,
                lineages: vec![protocol::api::PlannedLineage {
                    lineage: id(2),
                    timeline: 1,
                    from: "0/2000028".into(),
                    to: "0/5000148".into(),
                }],
                steps: vec!["copy the base backup".into(), "replay the WAL".into()],
            }),
            reason: None,
            run: id(4),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let text = text(&restore);
        assert!(text.starts_with("Restore acme to what it was at the snapshot before-mistake\n"), "{text}");
        assert!(text.contains("22.0 MiB") && text.contains("0/5000148"), "{text}");
        assert!(text.ends_with(" 1. copy the base backup\n 2. replay the WAL\n"), "{text}");
    }
}

use archive::{Amount, Clock, ExpireError, Expired, LEAST_GRACE, TenantExpired};
use clap::Args;
use jiff::SignedDuration;
use model::retention::Retention;

use super::Place;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::bytes;
use crate::time::local;

/// Drop what retention no longer keeps
///
/// Kept are: every second of the last days, with all that leads to it; the last
/// backup of each of the days, weeks and months before; snapshots that are
/// pinned or have not expired; and of each tenant its newest state, whatever
/// its age. All else is first noted, and removed when it was not needed for the
/// whole grace. What is removed is told in the repository's journal.
///
/// Workers do the same every day by themselves. Safe beside them, and beside a
/// backup or WAL that comes in. A tenant with anything that is damaged or not
/// understood is left alone, and a clock that may have jumped is not believed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle archive expire --plan\n  \
        heddle archive expire\n  \
        heddle archive expire --plan --tenant acme --days 14 --monthly 24 --json\n  \
        heddle archive expire --repository s3://backups/heddle --key-file repository.key\n\n\
        Ends with 9 if a tenant was left alone, and with 3 if the clock was not believed.")]
pub struct Expire {
    #[command(flatten)]
    place: Place,
    /// Only this tenant, by its id or its database's name
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only show what is kept and why, what would go, and how much that is
    #[arg(long)]
    plan: bool,
    /// Days for which every second is kept [HEDDLE_RETENTION_DAYS; default: 7]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Days before those, of each of which the last backup is kept [HEDDLE_KEEP_DAILY; default: 7]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(..=36_500))]
    daily: Option<u32>,
    /// Weeks before those [HEDDLE_KEEP_WEEKLY; default: 4]
    #[arg(long, value_name = "WEEKS", value_parser = clap::value_parser!(u32).range(..=36_500))]
    weekly: Option<u32>,
    /// Months before those [HEDDLE_KEEP_MONTHLY; default: 12]
    #[arg(long, value_name = "MONTHS", value_parser = clap::value_parser!(u32).range(..=36_500))]
    monthly: Option<u32>,
    /// How long something is not needed before it is removed; at least an hour
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = crate::time::duration_argument)]
    grace: SignedDuration,
    /// Nobody else uses this repository: a shorter grace is allowed
    #[arg(long)]
    alone: bool,
    /// Believe this machine's clock, whatever it looks like
    #[arg(long)]
    clock_is_right: bool,
}

impl Expire {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let set = context.settings.retention();
        let retention = Retention {
            days: self.days.unwrap_or(set.days),
            daily: self.daily.unwrap_or(set.daily),
            weekly: self.weekly.unwrap_or(set.weekly),
            monthly: self.monthly.unwrap_or(set.monthly),
        };
        let grace = std::time::Duration::try_from(self.grace)
            .map_err(|_| Failure::usage("the grace must not be negative"))?;
        if grace < LEAST_GRACE && !self.alone {
            return Err(Failure::usage(
                "a grace of less than an hour is safe only where nobody else uses the repository; stop its \
                 workers and add --alone",
            ));
        }
        let repository = self.place.open(context).await?;
        let tenant = match &self.tenant {
            Some(tenant) => Some(super::find(&repository, tenant).await?),
            None => None,
        };
        let how = archive::Expire {
            retention,
            grace,
            clock: Clock::system(),
            clock_is_right: self.clock_is_right,
            plan_only: self.plan,
        };
        let expired = super::blocking({
            let repository = repository.clone();
            move || repository.expire(tenant, &how)
        });
        let expired = expired.await?.map_err(|error| match error {
            ExpireError::Clock(clock) => Failure::new(Exit::Refused, "clock", clock.to_string())
                .hint("nothing was removed; set the clock right, or look at it and add --clock-is-right"),
            error => super::reading(repository.location(), &error),
        })?;
        let plan = self.plan;
        context.output.result(&expired, |expired| text(expired, plan))?;
        let left = expired.tenants.iter().filter(|tenant| tenant.left_alone.is_some()).count();
        match left {
            0 => Ok(()),
            1 => Err(left_alone("1 tenant was")),
            count => Err(left_alone(&format!("{count} tenants were"))),
        }
    }
}

fn left_alone(who: &str) -> Failure {
    Failure::new(Exit::Findings, "left-alone", format!("{who} left alone"))
        .hint("nothing of it was removed; what stands in the way is told above")
}

fn text(expired: &Expired, plan: bool) -> String {
    let mut text = String::new();
    for tenant in &expired.tenants {
        text += &told(tenant, plan);
    }
    if expired.shredded > 0 {
        text += &format!("Tenants whose keys were destroyed: {}", expired.shredded);
        text += &match expired.shredded_removed {
            Amount { objects: 0, .. } => ".\n".to_owned(),
            amount => format!("; what was left of them is gone, {}.\n", of(amount)),
        };
    }
    if expired.tenants.is_empty() && expired.shredded == 0 {
        text += "The repository holds no tenant.\n";
    }
    text
}

fn told(tenant: &TenantExpired, plan: bool) -> String {
    let mut text = format!("{} ({})\n", tenant.tenant, tenant.databases.join(", "));
    if let Some(why) = &tenant.left_alone {
        text += &format!("  left alone: {why}\n");
    }
    for kept in &tenant.backups {
        let (at, size) = (local(kept.stopped_at), bytes(kept.stored));
        text += &format!("  keeps backup {} of {at}, {size}: {}\n", kept.id, kept.why);
    }
    for kept in &tenant.snapshots {
        text += &format!("  keeps snapshot {} of {}: {}\n", kept.name, local(kept.taken_at), kept.why);
    }
    let due = TenantExpired::total(&tenant.due);
    let unneeded = TenantExpired::total(&tenant.unneeded);
    if unneeded == Amount::default() {
        return text + "  nothing else\n";
    }
    for (kind, amount) in &tenant.unneeded {
        text += &format!("  does not need {kind}: {}\n", of(*amount));
    }
    if plan {
        text += &format!("  would free {} now, {} in all\n", bytes(due.bytes), bytes(unneeded.bytes));
    } else {
        text += &format!("  removed {}\n", of(TenantExpired::total(&tenant.removed)));
    }
    if let Some(next) = tenant.next_due {
        text += &format!("  more is due {}\n", local(next));
    }
    text
}

fn of(amount: Amount) -> String {
    format!("{} objects, {}", amount.objects, bytes(amount.bytes))
}

use clap::Args;
use jiff::Timestamp;
use model::tenant::Tier;
use protocol::api::ChangeTenant;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::parse_bytes;

/// Change what a tenant may use: its tier, its limits, its subscription
///
/// What is not named stays as it is. Refused if somebody else changes the
/// tenant at the same time.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle tenant set acme --tier pro --max-users 50\n  \
    heddle tenant set acme --max-storage 20GiB --subscription-ends 2027-12-31T23:59:59Z")]
pub struct Set {
    /// Its name
    tenant: String,
    /// basic, pro or enterprise
    #[arg(long)]
    tier: Option<Tier>,
    /// How many users it may have
    #[arg(long, value_name = "NUMBER")]
    max_users: Option<i32>,
    /// How much its database and files may take, such as 20GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_storage: Option<u64>,
    /// How many AI operations it may ask for in a day
    #[arg(long, value_name = "NUMBER")]
    max_ai_operations: Option<i32>,
    /// When its subscription ends, or `never`
    #[arg(long, value_name = "TIME", value_parser = ending)]
    subscription_ends: Option<Ending>,
    /// Only if it is still at this version [default: the one it has now]
    #[arg(long, value_name = "NUMBER")]
    version: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Ending(Option<Timestamp>);

fn ending(text: &str) -> Result<Ending, String> {
    match text {
        "never" => Ok(Ending(None)),
        text => text
            .parse()
            .map(|at| Ending(Some(at)))
            .map_err(|_| format!("{text:?} is not a time; write it as 2027-12-31T23:59:59Z, or `never`")),
    }
}

impl Set {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let change = ChangeTenant {
            tier: self.tier,
            max_users: self.max_users,
            max_storage_bytes: self.max_storage.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_ai_operations_per_day: self.max_ai_operations,
            subscription_ends_at: self.subscription_ends.map(|ending| ending.0),
        };
        let api = context.api()?;
        let version = match self.version {
            Some(version) => version,
            None => api.tenant(&self.tenant).await?.version,
        };
        let tenant = api.change_tenant(&self.tenant, version, &change).await?;
        context.output.result(&tenant, super::show::text)
    }
}

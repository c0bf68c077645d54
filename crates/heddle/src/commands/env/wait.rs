use std::collections::BTreeMap;

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use model::tenant::{Serving, TenantState};
use protocol::api::Tenant;
use protocol::client::ClientError;
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::time::duration_argument;

const PAUSE: Duration = Duration::from_millis(500);

/// Wait until all tenants of an environment are served
///
/// Ends with 0 when they are, with 6 when one of them was not made, with 10 when
/// the time is over. What goes on is told on standard error.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle env wait demo/try-18 --timeout 10m")]
pub struct Wait {
    /// Which one
    #[arg(value_name = "PROJECT/ENVIRONMENT", value_parser = super::address)]
    environment: (String, String),
    /// How long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration_argument)]
    timeout: SignedDuration,
}

impl Wait {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (project, name) = &self.environment;
        let api = context.api()?;
        let tenants = until_served(context, &api, project, name, self.timeout).await?;
        context.output.result(&tenants, |tenants| match tenants.len() {
            0 => format!("{project}/{name} is ready; it has no tenants.\n"),
            1 => format!("{project}/{name} is ready: its tenant is served.\n"),
            n => format!("{project}/{name} is ready: its {n} tenants are served.\n"),
        })
    }
}

/// The tenants once they are served, or suspended on purpose.
pub async fn until_served(
    context: &Context,
    api: &Api,
    project: &str,
    name: &str,
    timeout: SignedDuration,
) -> Result<Vec<Tenant>, Failure> {
    let deadline = Instant::now() + Duration::try_from(timeout).unwrap_or_default();
    let environment = format!("{project}/{name}");
    // One that is not there is not waited for.
    api.environment(project, name).await?;
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let seen = match api.tenants(Some(&environment)).await {
            Ok(tenants) => Some(tenants),
            // Control may be restarted meanwhile.
            Err(ClientError::Unreachable { .. }) if Instant::now() < deadline => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(mut tenants) = seen {
            tenants.retain(|tenant| tenant.state != TenantState::Archived);
            for tenant in &tenants {
                let now = format!("{}, {}", tenant.state, tenant.serving);
                if told.get(&tenant.name) != Some(&now) {
                    context.output.note(format!("{}: {now}", tenant.name));
                    told.insert(tenant.name.clone(), now);
                }
            }
            if let Some(failed) = tenants.iter().find(|tenant| tenant.state == TenantState::Draft) {
                let detail = format!("{} of {environment} was not made", failed.name);
                return Err(Failure::new(Exit::RunFailed, "not-ready", detail)
                    .hint(format!("`heddle run list --tenant {}` shows the run that failed", failed.name)));
            }
            if tenants.iter().all(is_ready) {
                return Ok(tenants);
            }
            if Instant::now() >= deadline {
                let late: Vec<_> = tenants.iter().filter(|tenant| !is_ready(tenant)).collect();
                let names: Vec<&str> = late.iter().map(|tenant| tenant.name.as_str()).collect();
                let detail =
                    format!("{environment} is not ready in time: {} is not served", names.join(", "));
                return Err(Failure::new(Exit::TimedOut, "timed-out", detail)
                    .hint(format!("it goes on; `heddle logs {}` shows what its Odoo says", names[0])));
            }
        }
        sleep(PAUSE).await;
    }
}

fn is_ready(tenant: &Tenant) -> bool {
    match tenant.state {
        TenantState::Active => tenant.serving == Serving::Serving,
        TenantState::Suspended | TenantState::Archived => true,
        TenantState::Draft | TenantState::Provisioning => false,
    }
}

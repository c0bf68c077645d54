use clap::Args;
use jiff::SignedDuration;
use model::access::Role;
use protocol::api::{NewPolicy, PolicyTerms};

use super::Which;
use crate::context::Context;
use crate::failure::Failure;
use crate::time::duration_argument;

/// Have an act take the approval of others
///
/// Nobody approves what they have asked for themselves. Of several policies for
/// an act the nearest counts: an environment's before its stage's, that before
/// the project's. With --approvals 0 nobody is asked there.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  heddle policy set demo restore --stage production --approvals 1\n  \
        heddle policy set demo archive_tenant --approvals 2 --roles owner,admin --expires-after 12h"
)]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// How many different people must approve
    #[arg(long)]
    approvals: i32,
    /// In which roles of the project [default: owner,admin]
    #[arg(long, value_delimiter = ',')]
    roles: Option<Vec<Role>>,
    /// When what nobody decided on ends [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration_argument)]
    expires_after: Option<SignedDuration>,
}

impl Set {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let expires_after =
            self.expires_after.map(|after| i32::try_from(after.as_secs()).unwrap_or(i32::MAX));
        let terms = PolicyTerms { approvals: self.approvals, roles: self.roles, expires_after };
        let policy = match self.which.find(&api).await? {
            Some(known) => api.change_policy(known.id, &terms, known.version).await?,
            None => {
                let Which { project, act, env, stage } = self.which;
                let PolicyTerms { approvals, roles, expires_after } = terms;
                let new =
                    NewPolicy { project, act, environment: env, stage, approvals, roles, expires_after };
                api.create_policy(&new).await?
            }
        };
        context.output.result(&policy, |policy| {
            let roles: Vec<&str> = policy.roles.iter().map(|role| role.as_str()).collect();
            let place = super::place(policy);
            match policy.approvals {
                0 => format!("{} in {}: nobody is asked, {place}.\n", policy.act, policy.project),
                n => format!(
                    "{} in {} takes {n} of {}, {place}.\n",
                    policy.act,
                    policy.project,
                    roles.join(" or ")
                ),
            }
        })
    }
}

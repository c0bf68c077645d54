use clap::Args;
use model::tenant::Tier;
use protocol::api::{CreatedTenant, NewTenant};

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;
use crate::output::facts;

/// Create a tenant: a new Odoo with a database and a hostname of its own
///
/// It starts as a copy of its environment's build, which takes seconds. The
/// password of its Odoo administrator is shown once, here.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle tenant create acme --env demo/production\n  \
    heddle tenant create acme-fr --env demo/production --subdomain france --tier pro")]
pub struct Create {
    /// Names it in commands; unique on this platform: a-z, 0-9 and -
    name: String,
    /// The environment it lives in
    #[arg(long = "env", value_name = "PROJECT/ENVIRONMENT")]
    environment: String,
    /// Its hostname's first label: 3 to 63 of a-z, 0-9 and -, starting with a letter [default: its name]
    #[arg(long)]
    subdomain: Option<String>,
    /// Its database's name [default: its name, with _ for -]
    #[arg(long)]
    database: Option<String>,
    /// basic, pro or enterprise [default: basic]
    #[arg(long)]
    tier: Option<Tier>,
    #[command(flatten)]
    wait: Wait,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewTenant {
            environment: self.environment,
            name: self.name,
            subdomain: self.subdomain,
            database: self.database,
            tier: self.tier,
        };
        let api = context.api()?;
        let mut created = api.create_tenant(&new).await?;
        if !self.wait.wanted() {
            return context.output.result(&created, text);
        }
        if !context.output.json {
            // At once: nobody can show the password again, whatever comes.
            context.output.result(&created, text)?;
        }
        created.run = context.follow(&api, created.run.id, &format!("making {}", new.name)).await?;
        created.tenant = api.tenant(&new.name).await?;
        context.output.result(&created, |created| format!("{} serves at {}\n", new.name, created.tenant.url))
    }
}

fn text(created: &CreatedTenant) -> String {
    facts([
        ("tenant", created.tenant.name.clone()),
        ("address", created.tenant.url.clone()),
        ("login", created.admin_login.clone()),
        ("password", format!("{}   (shown this once)", created.admin_password)),
    ])
}

use clap::Args;
use protocol::client::{Client, Key};
use router::RouterConfig;

use crate::context::Context;
use crate::data::Data;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::role::{self, Parent};
use crate::secrets::Secrets;

/// Run the router: hostname to tenant to Odoo
///
/// `heddle up` runs it. While control is away it serves by the last good table,
/// which it keeps in the data folder.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle router --data /srv/heddle")]
pub struct RouterCommand {
    #[command(flatten)]
    parent: Parent,
}

impl RouterCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let shutdown = role::start("router", self.parent, context)?;
        let settings = &context.settings;
        let key = Secrets::new(&settings.data).platform_key()?;
        let control = Client::new(&context.url(), Key::new(key));
        let table = Data::new(&settings.data).routes();
        let config = RouterConfig::new(vec![settings.listen_router], control, table);
        let router = router::Router::bind(config).map_err(|error| {
            Failure::new(Exit::Failed, "cannot-listen", error.to_string()).hint(error.hint("listen_router"))
        })?;
        tracing::info!(address = %settings.listen_router, "the router serves");
        router.serve(shutdown).await;
        Ok(())
    }
}

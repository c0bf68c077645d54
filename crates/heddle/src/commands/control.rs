use clap::Args;
use control::Control;
use tokio::net::TcpListener;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::role::{self, Parent};
use crate::secrets::Secrets;

/// The name of the key that `heddle` commands on this machine use.
const KEY_NAME: &str = "this machine's command line";

/// Run control: the API, the console and the reconcilers
///
/// `heddle up` runs it; by itself it needs a database that `heddle up` has
/// prepared.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle control --data /srv/heddle")]
pub struct ControlCommand {
    #[command(flatten)]
    parent: Parent,
}

impl ControlCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let shutdown = role::start("control", self.parent, context)?;
        let settings = &context.settings;
        let secrets = Secrets::new(&settings.data);
        let platform_key = secrets.platform_key()?;
        let told = control::Settings {
            audit_key: Some(secrets.audit_key()?),
            audit_heads: Some(settings.audit_heads()),
            ..settings.control()
        };
        let control = Control::connect(&secrets.control_url()?, told).await?;
        ensure_admin_key(&control, &secrets).await?;
        let listener = TcpListener::bind(settings.listen_console).await.map_err(|error| {
            Failure::while_trying(format!("listen on {}", settings.listen_console), &error)
        })?;
        settings.publish_control_url()?;
        let reconciled = tokio::spawn(control::reconcile::run(control.clone(), shutdown.clone()));
        let mut state = web::WebState::new(control, platform_key)
            .limited(web::Rate::per_second(settings.requests_per_second), web::Rate::STRANGERS);
        state.metrics_on_loopback = settings.metrics_loopback;
        let router = web::router(state);
        tracing::info!(address = %settings.listen_console, "control serves");
        let served = web::serve(listener, router, shutdown.clone().cancelled_owned()).await;
        shutdown.cancel();
        reconciled.await.map_err(|error| Failure::while_trying("end the reconcilers", &error))?;
        served.map_err(|error| Failure::while_trying("serve the console", &error))
    }
}

/// The key in the data folder is one that control knows: where either was
/// replaced, a new one is made.
async fn ensure_admin_key(control: &Control, secrets: &Secrets) -> Result<(), Failure> {
    if let Some(key) = secrets.known_admin_key()? {
        match control.verify_api_key(&key).await.map_err(Failure::from) {
            Err(failure) if failure.exit == Exit::Denied => {}
            Err(failure) => return Err(failure),
            Ok(_) => return Ok(()),
        }
    }
    let created = control.create_api_key(KEY_NAME).await?;
    secrets.write_admin_key(&created.key)
}

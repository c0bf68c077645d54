//! Waiting until everything answers.

use std::time::Duration;

use protocol::api::{Status, Tenant};
use protocol::client::{Client, Key};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::secrets::Secrets;
use crate::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(90);
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Ready {
    pub tenants: Vec<Tenant>,
}

/// Ends when `look` finds nothing missing any more.
pub async fn wait(
    settings: &Settings,
    look: impl AsyncFn(&Settings) -> Result<Ready, Missing>,
) -> Result<Ready, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let missing = match look(settings).await {
            Ok(ready) => return Ok(ready),
            Err(Missing(role)) => role,
        };
        if Instant::now() > until {
            let detail = format!("{missing} is not ready after {} seconds", PATIENCE.as_secs());
            let log = settings.data.join("logs").join(format!("{missing}.log"));
            return Err(Failure::new(Exit::Failed, "not-ready", detail)
                .hint(format!("its log says more: {}", log.display())));
        }
        sleep(AGAIN).await;
    }
}

/// The role that is not ready.
#[derive(Debug)]
pub struct Missing(&'static str);

pub async fn control_answers(settings: &Settings) -> Result<Ready, Missing> {
    let status = control(settings).await.ok_or(Missing("control"))?;
    Ok(Ready { tenants: status.tenants })
}

/// Control answers, a worker has registered and the router listens.
pub async fn all_answer(settings: &Settings) -> Result<Ready, Missing> {
    let status = control(settings).await.ok_or(Missing("control"))?;
    if !status.workers.iter().any(|worker| worker.alive) {
        return Err(Missing("worker"));
    }
    TcpStream::connect(settings.listen_router).await.map_err(|_| Missing("router"))?;
    Ok(Ready { tenants: status.tenants })
}

/// What control says of itself; None while it does not, or does not yet know our key.
async fn control(settings: &Settings) -> Option<Status> {
    let key = Secrets::new(&settings.data).known_admin_key().ok()??;
    Api::new(Client::new(&settings.own_control_url(), Key::new(key))).status().await.ok()
}

/// The tenants, while control still answers.
pub async fn tenants(settings: &Settings) -> Vec<Tenant> {
    let asked = tokio::time::timeout(Duration::from_secs(2), control(settings)).await;
    asked.ok().flatten().map(|status| status.tenants).unwrap_or_default()
}

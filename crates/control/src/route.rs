use std::pin::pin;
use std::time::Duration;

use protocol::internal::{RouteEntry, Routes};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::{Control, Error, Result};

/// How often the table is looked at while a router waits for it to change.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Control {
    /// The route table; with `after`, waits up to `wait` for a version other than it.
    pub async fn routes(&self, after: Option<&str>, wait: Duration) -> Result<Routes> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            // Subscribed before looking, so that nothing falls in between.
            let mut routed = pin!(self.inner.routed.notified());
            routed.as_mut().enable();
            let routes = self.table().await?;
            if after != Some(&routes.version) || Instant::now() >= deadline {
                return Ok(routes);
            }
            // Woken or not, it looks again.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), routed).await;
        }
    }

    /// The version is a hash of the rows: the same after a restart of control.
    async fn table(&self) -> Result<Routes> {
        let rows = database::route::list(&self.database().await?).await?;
        let routes: Vec<RouteEntry> = rows
            .into_iter()
            .map(|route| RouteEntry {
                host: crate::work::hostname(self.settings(), &route.subdomain),
                tenant: route.tenant,
                name: route.name,
                state: route.state,
                serving: route.serving,
                http: route.http,
                gevent: route.gevent,
                router_key: route.router_key,
            })
            .collect();
        let text = serde_json::to_vec(&routes).map_err(|source| Error::Stored { what: "routes", source })?;
        Ok(Routes { version: hex::encode(&Sha256::digest(text)[..16]), routes })
    }
}

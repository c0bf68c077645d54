//! Which tenant a request is for, and what becomes of it: its hostname
//! decides, and nothing else does.

mod host;
mod path;

use std::collections::HashMap;

use crate::TenantId;
use crate::tenant::{Serving, TenantState};

pub use host::{Host, InvalidHost};
pub use path::{PathKind, origin_target};

/// Where a tenant's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub tenant: TenantId,
    pub name: String,
    pub state: TenantState,
    pub serving: Serving,
    /// `127.0.0.1:8069`; None while nothing listens.
    pub http: Option<String>,
    /// Where `/websocket` and `/longpolling` go; None: to `http`.
    pub gevent: Option<String>,
    /// Shown by the router to the tenant's Odoo, which answers nobody without it.
    pub router_key: Option<String>,
}

/// Why a visitor gets a page of the router's instead of the tenant's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Asks for Odoo's database manager, which is closed on every tenant.
    DatabaseManager,
    /// Recorded, but never served yet.
    Preparing,
    /// Its Odoo is being started, or the tenant restored.
    Starting,
    /// Its Odoo keeps ending, and nothing listens.
    Unavailable,
    Suspended,
    Archived,
}

impl Route {
    /// The address that answers requests of this kind now.
    ///
    /// A failing Odoo that still listens is tried: part of it may work, and
    /// what it says tells more than a page would.
    pub fn upstream(&self, path: PathKind) -> Result<&str, Refusal> {
        if path == PathKind::DatabaseManager {
            return Err(Refusal::DatabaseManager);
        }
        match self.state {
            TenantState::Draft | TenantState::Provisioning => return Err(Refusal::Preparing),
            TenantState::Suspended => return Err(Refusal::Suspended),
            TenantState::Archived => return Err(Refusal::Archived),
            TenantState::Active => {}
        }
        let http = match self.serving {
            // Stopped and yet active: resumed a moment ago.
            Serving::Starting | Serving::Stopped => return Err(Refusal::Starting),
            Serving::Serving => self.http.as_deref().ok_or(Refusal::Starting)?,
            Serving::Failing => self.http.as_deref().ok_or(Refusal::Unavailable)?,
        };
        Ok(match path {
            PathKind::Live => self.gevent.as_deref().unwrap_or(http),
            PathKind::DatabaseManager | PathKind::Ordinary => http,
        })
    }
}

/// Hostname to route. Hostnames are compared without case, port or a trailing dot.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: HashMap<String, Route>,
}

impl RouteTable {
    pub fn new(routes: impl IntoIterator<Item = (String, Route)>) -> Self {
        Self { routes: routes.into_iter().map(|(host, route)| (host::normalise(&host), route)).collect() }
    }

    pub fn find(&self, host: &Host) -> Option<&Route> {
        self.routes.get(host.name())
    }

    pub fn len(&self) -> usize {
        self.routes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(state: TenantState, serving: Serving, http: Option<&str>, gevent: Option<&str>) -> Route {
        Route {
            tenant: TenantId::new(),
            name: "acme".into(),
            state,
            serving,
            http: http.map(Into::into),
            gevent: gevent.map(Into::into),
            router_key: None,
        }
    }

    #[test]
    fn a_host_finds_its_route_however_it_is_written() {
        let acme = route(TenantState::Active, Serving::Serving, Some("127.0.0.1:1"), None);
        let table = RouteTable::new([("Acme.Localhost".to_owned(), acme)]);
        for host in ["acme.localhost", "ACME.localhost:8080", "acme.localhost.", "acme.localhost.:80"] {
            assert!(table.find(&host.parse().unwrap()).is_some(), "{host}");
        }
        for host in
            ["globex.localhost", "x.acme.localhost", "acme", "localhost", "acme.localhost.evil.example"]
        {
            assert!(table.find(&host.parse().unwrap()).is_none(), "{host}");
        }
    }

    #[test]
    fn only_an_active_tenant_that_serves_is_reached() {
        use Serving::{Failing, Starting, Stopped};
        use TenantState::{Active, Archived, Draft, Provisioning, Suspended};
        let http = Some("127.0.0.1:1");
        for (state, serving, http, expected) in [
            (Active, Serving::Serving, http, Ok("127.0.0.1:1")),
            (Active, Serving::Serving, None, Err(Refusal::Starting)),
            (Active, Starting, http, Err(Refusal::Starting)),
            (Active, Stopped, None, Err(Refusal::Starting)),
            (Active, Failing, http, Ok("127.0.0.1:1")),
            (Active, Failing, None, Err(Refusal::Unavailable)),
            (Draft, Serving::Serving, http, Err(Refusal::Preparing)),
            (Provisioning, Starting, http, Err(Refusal::Preparing)),
            (Suspended, Serving::Serving, http, Err(Refusal::Suspended)),
            (Archived, Serving::Serving, http, Err(Refusal::Archived)),
        ] {
            let route = route(state, serving, http, None);
            assert_eq!(route.upstream(PathKind::Ordinary), expected, "{state} {serving}");
        }
    }

    #[test]
    fn live_paths_go_to_gevent_where_there_is_one() {
        let both = route(TenantState::Active, Serving::Serving, Some("h"), Some("g"));
        assert_eq!(both.upstream(PathKind::Live), Ok("g"));
        assert_eq!(both.upstream(PathKind::Ordinary), Ok("h"));
        let one = route(TenantState::Active, Serving::Serving, Some("h"), None);
        assert_eq!(one.upstream(PathKind::Live), Ok("h"));
    }

    #[test]
    fn the_database_manager_is_closed_in_every_state() {
        for state in TenantState::ALL {
            let route = route(*state, Serving::Serving, Some("h"), None);
            assert_eq!(route.upstream(PathKind::DatabaseManager), Err(Refusal::DatabaseManager));
        }
    }
}

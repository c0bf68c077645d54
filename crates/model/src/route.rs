//! Which tenant a request is for: its hostname decides, and nothing else does.

use std::collections::HashMap;

use crate::TenantId;
use crate::tenant::{Serving, TenantState};

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

/// Hostname to route. Hostnames are compared without case, port or a trailing dot.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: HashMap<String, Route>,
}

impl RouteTable {
    pub fn new(routes: impl IntoIterator<Item = (String, Route)>) -> Self {
        Self { routes: routes.into_iter().map(|(host, route)| (normalise(&host), route)).collect() }
    }

    pub fn find(&self, host: &str) -> Option<&Route> {
        self.routes.get(&normalise(host))
    }

    pub fn len(&self) -> usize {
        self.routes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

fn normalise(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

use model::TenantId;
use model::tenant::{Serving, TenantState};

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const LIST: Query = query!("route/list");

#[derive(Debug, Clone)]
pub struct Route {
    pub tenant: TenantId,
    pub subdomain: String,
    pub name: String,
    pub state: TenantState,
    pub serving: Serving,
    pub http: Option<String>,
    pub gevent: Option<String>,
    pub router_key: Option<String>,
}

impl Read for Route {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            tenant: columns.id("id")?,
            subdomain: columns.get("subdomain")?,
            name: columns.get("name")?,
            state: columns.written("state")?,
            serving: columns.written("serving")?,
            http: columns.get("http")?,
            gevent: columns.get("gevent")?,
            router_key: columns.get("router_key")?,
        })
    }
}

/// Every tenant that was ever queued to be provisioned; by subdomain.
pub async fn list(on: &impl On) -> Result<Vec<Route>> {
    LIST.all(on, &[]).await
}

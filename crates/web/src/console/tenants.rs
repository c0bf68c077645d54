//! All tenants, and the form for a new one.

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use control::Slice;
use model::tenant::Tier;
use protocol::api::{CreatedTenant, Environment, NewTenant, Tenant};
use serde::Deserialize;

use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, asked, html, html_with, once, show};
use crate::WebState;
use crate::failure::{Answer, Failure};
use crate::live::{self, Closing};

#[derive(Template)]
#[template(path = "tenants.html", blocks = ["tenants"])]
struct TenantsPage {
    frame: Frame,
    tenants: Vec<Tenant>,
    /// Without one, no tenant can be made here.
    environments: usize,
}

impl TenantsPage {
    async fn load(state: &WebState, frame: Frame) -> Answer<Self> {
        let tenants = state.control.tenants(None, &Slice::first()).await?.items;
        let environments = match tenants.is_empty() {
            true => state.control.environments(None, &Slice::first()).await?.items.len(),
            false => 1,
        };
        Ok(Self { frame, tenants, environments })
    }
}

/// `GET /tenants`
pub(crate) async fn list(Bound(state): Bound, visitor: Visitor) -> Answer<Response> {
    html(&TenantsPage::load(&state, visitor.frame("/tenants")).await?)
}

/// `GET /live/tenants`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let frame = visitor.frame("/tenants");
    live::page(closing, move || {
        let (state, frame) = (state.clone(), frame.clone());
        async move {
            let page = TenantsPage::load(&state, frame).await?;
            Ok(vec![("tenants", page.as_tenants().render()?)])
        }
    })
}

#[derive(Template)]
#[template(path = "tenant_new.html")]
struct FormPage {
    frame: Frame,
    once: String,
    environments: Vec<Environment>,
    form: NewTenantForm,
    notice: Option<Notice>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewTenantForm {
    once: String,
    environment: String,
    name: String,
    subdomain: String,
    tier: String,
}

async fn form_page(
    state: &WebState,
    frame: Frame,
    form: NewTenantForm,
    notice: Option<Notice>,
) -> Answer<FormPage> {
    let environments = state.control.environments(None, &Slice::first()).await?.items;
    Ok(FormPage { frame, once: once(), environments, form, notice })
}

/// `GET /new-tenant`
pub(crate) async fn form(Bound(state): Bound, visitor: Visitor) -> Answer<Response> {
    html(&form_page(&state, visitor.frame("/tenants"), NewTenantForm::default(), None).await?)
}

#[derive(Template)]
#[template(path = "tenant_created.html")]
struct CreatedPage {
    frame: Frame,
    created: CreatedTenant,
}

/// `POST /new-tenant`: answers with the page itself, since the password in it
/// cannot be asked for again.
pub(crate) async fn create(Bound(state): Bound, posted: Posted<NewTenantForm>) -> Result<Response, Turned> {
    let frame = posted.frame("/tenants");
    let form = posted.form;
    let tier = match form.tier.as_str() {
        "" => None,
        tier => Some(tier.parse::<Tier>().map_err(|error| Failure::invalid(error.to_string()))?),
    };
    let new = NewTenant {
        environment: form.environment.clone(),
        name: form.name.trim().to_owned(),
        subdomain: Some(form.subdomain.trim().to_owned()).filter(|text| !text.is_empty()),
        database: None,
        tier,
    };
    match state.control.create_tenant(&asked(&posted.session, &form.once), new).await {
        Ok(created) => Ok(html_with(StatusCode::CREATED, &CreatedPage { frame, created })?),
        Err(error) => {
            // An environment that has gone meanwhile is the form's matter too.
            let mut failure = Failure::from(error);
            if failure.status == StatusCode::NOT_FOUND {
                failure.status = StatusCode::UNPROCESSABLE_ENTITY;
            }
            let (status, notice) = Notice::of(failure)?;
            Ok(html_with(status, &form_page(&state, frame, form, Some(notice)).await?)?)
        }
    }
}

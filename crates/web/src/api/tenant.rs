use axum::Json as Answered;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::api::{
    ArchiveTenant, ChangeTenant, CreatedTenant, LogLines, NewTenant, Page, Problem, Run, ShredTenant, Tenant,
};
use protocol::internal::LogSource;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::etag::{Edits, Seen, Versioned};
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::{Answer, Failure};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfEnvironment {
    /// Only this environment's: `PROJECT/ENVIRONMENT`, or its id.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,62}(/[a-z0-9][a-z0-9-]{0,62})?$")]
    pub environment: Option<String>,
}

/// All tenants, or one environment's; by name.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    params(OfEnvironment, Cut), responses((status = 200, body = Page<Tenant>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfEnvironment>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Tenant>>> {
    Ok(Answered(control.tenants(of.environment.as_deref(), &cut.slice()?).await?))
}

/// Create a tenant; its run provisions it. The administrator's password is in
/// this answer and in no other.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", operation_id = "create_tenant",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = NewTenant, responses((status = 201, body = CreatedTenant), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewTenant>,
) -> Answer<(StatusCode, Answered<CreatedTenant>)> {
    Ok((StatusCode::CREATED, Answered(control.create_tenant(&asked, new).await?)))
}

/// One tenant. Its ETag names its version.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}", tag = "tenants", operation_id = "get_tenant",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag: answered with 304 where it is still so")),
    responses((status = 200, body = Tenant, headers(("ETag" = String, description = "Its version, for `If-Match`"))),
        (status = 304, description = "It is as `If-None-Match` says."), Refused))]
pub async fn get(Acting(control): Acting, Path(tenant): Path<String>, seen: Seen) -> Answer<Response> {
    let tenant = control.tenant(&tenant).await?;
    seen.answer(tenant.version, &tenant)
}

/// Change what a tenant may use, if it is still as it was read.
#[utoipa::path(patch, path = "/api/v1/tenants/{tenant}", tag = "tenants", operation_id = "change_tenant",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("If-Match" = String, Header, pattern = r#"^(\*|"[0-9]{1,18}(\.[0-9a-f]{1,64})?")$"#,
            description = "Its ETag as it was read, its version in quotes, or * for whatever is there")),
    request_body = ChangeTenant,
    responses((status = 200, body = Tenant, headers(("ETag" = String, description = "Its version, for `If-Match`"))), Refused))]
pub async fn change(
    Acting(control): Acting,
    Path(tenant): Path<String>,
    Edits(version): Edits,
    Json(body): Json<ChangeTenant>,
) -> Answer<Versioned<Tenant>> {
    let tenant = control.change_tenant(&tenant, version, &body).await?;
    Ok(Versioned(tenant.version, tenant))
}

/// Show its visitors a page that says so, and stop its Odoo; its history is kept.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/suspend", tag = "tenants", operation_id = "suspend_tenant",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme")),
    responses((status = 200, body = Tenant), Refused))]
pub async fn suspend(Acting(control): Acting, Path(tenant): Path<String>) -> Answer<Answered<Tenant>> {
    Ok(Answered(control.suspend_tenant(&tenant).await?))
}

/// Serve a suspended tenant again.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/resume", tag = "tenants", operation_id = "resume_tenant",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme")),
    responses((status = 200, body = Tenant), Refused))]
pub async fn resume(Acting(control): Acting, Path(tenant): Path<String>) -> Answer<Answered<Tenant>> {
    Ok(Answered(control.resume_tenant(&tenant).await?))
}

/// Take a tenant out of service for good.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/archive", tag = "tenants", operation_id = "archive_tenant",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme")), request_body = ArchiveTenant,
    responses((status = 200, body = Tenant), Refused))]
pub async fn archive(
    Acting(control): Acting,
    Path(tenant): Path<String>,
    Json(body): Json<ArchiveTenant>,
) -> Answer<Answered<Tenant>> {
    Ok(Answered(control.archive_tenant(&tenant, &body.confirm).await?))
}

/// Destroy an archived tenant's key: nothing that is stored of it can be read again.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/shred", tag = "tenants", operation_id = "shred_tenant",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = ShredTenant, responses((status = 201, body = Run), Refused))]
pub async fn shred(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(tenant): Path<String>,
    Json(body): Json<ShredTenant>,
) -> Answer<(StatusCode, Answered<Run>)> {
    Ok((StatusCode::CREATED, Answered(control.shred_tenant(&asked, &tenant, &body.confirm).await?)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Tail {
    /// Odoo's log, or its PostgreSQL cluster's.
    #[serde(default = "odoo")]
    #[param(value_type = Option<String>, example = "odoo", pattern = "^(odoo|cluster)$")]
    pub source: LogSource,
    /// How many of the last lines, 1 to 10,000.
    #[serde(default = "hundred")]
    #[param(value_type = Option<u32>, default = 100, minimum = 1, maximum = 10000)]
    pub lines: u32,
}

fn odoo() -> LogSource {
    LogSource::Odoo
}

fn hundred() -> u32 {
    100
}

/// The last lines of a tenant's log.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/log", tag = "tenants", operation_id = "get_tenant_log",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"), Tail),
    responses((status = 200, body = LogLines),
        (status = 409, description = "It has no log yet.", body = Problem, content_type = "application/problem+json"),
        Refused))]
pub async fn log(
    Acting(control): Acting,
    Path(tenant): Path<String>,
    Query(tail): Query<Tail>,
) -> Answer<Answered<LogLines>> {
    if !(1..=10_000).contains(&tail.lines) {
        return Err(Failure::invalid(format!("{} is not a number of lines from 1 to 10,000", tail.lines))
            .hint("The whole log lies in the data folder of the tenant's worker."));
    }
    Ok(Answered(control.tenant_log(&tenant, tail.source, tail.lines).await?))
}

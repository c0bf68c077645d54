use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{MaintenanceWindow, NewMaintenanceWindow, Page};

use super::Refused;
use super::environment::OfProject;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// All maintenance windows, or one project's.
#[utoipa::path(get, path = "/api/v1/maintenance-windows", tag = "maintenance windows",
    operation_id = "list_maintenance_windows", params(OfProject, Cut),
    responses((status = 200, body = Page<MaintenanceWindow>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfProject>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<MaintenanceWindow>>> {
    Ok(Answered(control.maintenance_windows(of.project.as_deref(), &cut.slice()?).await?))
}

/// Create a maintenance window. From then on, runs that disturb people wait for it to open.
#[utoipa::path(post, path = "/api/v1/maintenance-windows", tag = "maintenance windows",
    operation_id = "create_maintenance_window",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    request_body = NewMaintenanceWindow,
    responses((status = 201, body = MaintenanceWindow), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewMaintenanceWindow>,
) -> Answer<(StatusCode, Answered<MaintenanceWindow>)> {
    Ok((StatusCode::CREATED, Answered(control.create_maintenance_window(&asked, new).await?)))
}

/// One maintenance window.
#[utoipa::path(get, path = "/api/v1/maintenance-windows/{project}/{window}", tag = "maintenance windows",
    operation_id = "get_maintenance_window",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("window" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "sunday")),
    responses((status = 200, body = MaintenanceWindow), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, window)): Path<(String, String)>,
) -> Answer<Answered<MaintenanceWindow>> {
    Ok(Answered(control.maintenance_window(&format!("{project}/{window}")).await?))
}

/// Remove a maintenance window.
#[utoipa::path(delete, path = "/api/v1/maintenance-windows/{project}/{window}", tag = "maintenance windows",
    operation_id = "remove_maintenance_window",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("window" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "sunday")),
    responses((status = 204), Refused))]
pub async fn remove(
    Acting(control): Acting,
    Path((project, window)): Path<(String, String)>,
) -> Answer<StatusCode> {
    control.remove_maintenance_window(&format!("{project}/{window}")).await?;
    Ok(StatusCode::NO_CONTENT)
}

use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{ChangeSchedule, NewSchedule, Page, Schedule, ScheduleRan, ScheduledTime};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::environment::OfProject;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// All schedules, or one project's.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", operation_id = "list_schedules",
    params(OfProject), responses((status = 200, body = Page<Schedule>), Refused))]
pub async fn list(Acting(control): Acting, Query(of): Query<OfProject>) -> Answer<Answered<Page<Schedule>>> {
    Ok(Answered(Page { items: control.schedules(of.project.as_deref()).await? }))
}

/// Create a schedule.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", operation_id = "create_schedule",
    request_body = NewSchedule, responses((status = 201, body = Schedule), Refused))]
pub async fn create(
    Acting(control): Acting,
    Json(new): Json<NewSchedule>,
) -> Answer<(StatusCode, Answered<Schedule>)> {
    Ok((StatusCode::CREATED, Answered(control.create_schedule(new).await?)))
}

/// One schedule.
#[utoipa::path(get, path = "/api/v1/schedules/{project}/{schedule}", tag = "schedules",
    operation_id = "get_schedule",
    params(("project" = String, Path), ("schedule" = String, Path, description = "Its name")),
    responses((status = 200, body = Schedule), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
) -> Answer<Answered<Schedule>> {
    Ok(Answered(control.schedule(&format!("{project}/{schedule}")).await?))
}

/// Change a schedule, or pause or resume it; refused if it has changed since it was read.
#[utoipa::path(patch, path = "/api/v1/schedules/{project}/{schedule}", tag = "schedules",
    operation_id = "change_schedule",
    params(("project" = String, Path), ("schedule" = String, Path, description = "Its name")),
    request_body = ChangeSchedule, responses((status = 200, body = Schedule), Refused))]
pub async fn change(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
    Json(change): Json<ChangeSchedule>,
) -> Answer<Answered<Schedule>> {
    Ok(Answered(control.change_schedule(&format!("{project}/{schedule}"), change).await?))
}

/// Remove a schedule. Runs that it has queued go on.
#[utoipa::path(delete, path = "/api/v1/schedules/{project}/{schedule}", tag = "schedules",
    operation_id = "remove_schedule",
    params(("project" = String, Path), ("schedule" = String, Path, description = "Its name")),
    responses((status = 204), Refused))]
pub async fn remove(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
) -> Answer<StatusCode> {
    control.remove_schedule(&format!("{project}/{schedule}")).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Times {
    /// How many, up to 1,000; default 10.
    #[serde(default)]
    #[param(value_type = Option<u32>)]
    pub count: u32,
}

/// The coming times of a schedule, by its own clocks and in UTC.
#[utoipa::path(get, path = "/api/v1/schedules/{project}/{schedule}/next", tag = "schedules",
    operation_id = "list_schedule_times",
    params(("project" = String, Path), ("schedule" = String, Path, description = "Its name"), Times),
    responses((status = 200, body = Page<ScheduledTime>), Refused))]
pub async fn next(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
    Query(times): Query<Times>,
) -> Answer<Answered<Page<ScheduledTime>>> {
    let count = if times.count == 0 { 10 } else { times.count };
    Ok(Answered(Page { items: control.schedule_times(&format!("{project}/{schedule}"), count).await? }))
}

/// Queue now what a schedule would queue, in the caller's name.
#[utoipa::path(post, path = "/api/v1/schedules/{project}/{schedule}/run", tag = "schedules",
    operation_id = "run_schedule",
    params(("project" = String, Path), ("schedule" = String, Path, description = "Its name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent twice with it, it is carried out once")),
    responses((status = 200, body = ScheduleRan), Refused))]
pub async fn run(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path((project, schedule)): Path<(String, String)>,
) -> Answer<Answered<ScheduleRan>> {
    Ok(Answered(control.run_schedule(&asked, &format!("{project}/{schedule}")).await?))
}

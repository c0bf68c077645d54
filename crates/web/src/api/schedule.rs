use axum::Json as Answered;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::api::{ChangeSchedule, NewSchedule, Page, Schedule, ScheduleRan, ScheduledTime};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::environment::OfProject;
use super::list::Cut;
use crate::etag::{Edits, Seen, Versioned};
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::{Answer, Failure};

/// All schedules, or one project's.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", operation_id = "list_schedules",
    params(OfProject, Cut), responses((status = 200, body = Page<Schedule>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfProject>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Schedule>>> {
    Ok(Answered(control.schedules(of.project.as_deref(), &cut.slice()?).await?))
}

/// Create a schedule.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", operation_id = "create_schedule",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    request_body = NewSchedule, responses((status = 201, body = Schedule), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewSchedule>,
) -> Answer<(StatusCode, Answered<Schedule>)> {
    Ok((StatusCode::CREATED, Answered(control.create_schedule(&asked, new).await?)))
}

/// One schedule. Its ETag names its version.
#[utoipa::path(get, path = "/api/v1/schedules/{project}/{schedule}", tag = "schedules",
    operation_id = "get_schedule",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("schedule" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "nightly"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag: answered with 304 where it is still so")),
    responses((status = 200, body = Schedule, headers(("ETag" = String, description = "Its version, for `If-Match`"))),
        (status = 304, description = "It is as `If-None-Match` says."), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
    seen: Seen,
) -> Answer<Response> {
    let schedule = control.schedule(&format!("{project}/{schedule}")).await?;
    seen.answer(schedule.version, &schedule)
}

/// Change a schedule, or pause or resume it; refused if it has changed since it was read.
#[utoipa::path(patch, path = "/api/v1/schedules/{project}/{schedule}", tag = "schedules",
    operation_id = "change_schedule",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("schedule" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "nightly"),
        ("If-Match" = String, Header, pattern = r#"^(\*|"[0-9]{1,18}(\.[0-9a-f]{1,64})?")$"#,
            description = "Its ETag as it was read, its version in quotes, or * for whatever is there")),
    request_body = ChangeSchedule,
    responses((status = 200, body = Schedule, headers(("ETag" = String, description = "Its version, for `If-Match`"))),
        Refused))]
pub async fn change(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
    Edits(version): Edits,
    Json(change): Json<ChangeSchedule>,
) -> Answer<Versioned<Schedule>> {
    let schedule = control.change_schedule(&format!("{project}/{schedule}"), version, change).await?;
    Ok(Versioned(schedule.version, schedule))
}

/// Remove a schedule. Runs that it has queued go on.
#[utoipa::path(delete, path = "/api/v1/schedules/{project}/{schedule}", tag = "schedules",
    operation_id = "remove_schedule",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("schedule" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "nightly")),
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
    /// How many.
    #[serde(default = "ten")]
    #[param(value_type = Option<u32>, default = 10, minimum = 1, maximum = 1000)]
    pub count: u32,
}

fn ten() -> u32 {
    10
}

/// The coming times of a schedule, by its own clocks and in UTC.
#[utoipa::path(get, path = "/api/v1/schedules/{project}/{schedule}/next", tag = "schedules",
    operation_id = "list_schedule_times",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("schedule" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "nightly"), Times),
    responses((status = 200, body = Page<ScheduledTime>), Refused))]
pub async fn next(
    Acting(control): Acting,
    Path((project, schedule)): Path<(String, String)>,
    Query(times): Query<Times>,
) -> Answer<Answered<Page<ScheduledTime>>> {
    if !(1..=1000).contains(&times.count) {
        return Err(Failure::invalid(format!("the count is {}, not 1 to 1000", times.count)));
    }
    let items = control.schedule_times(&format!("{project}/{schedule}"), times.count).await?;
    Ok(Answered(Page { items, next: None }))
}

/// Queue now what a schedule would queue, in the caller's name.
#[utoipa::path(post, path = "/api/v1/schedules/{project}/{schedule}/run", tag = "schedules",
    operation_id = "run_schedule",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("schedule" = String, Path, description = "Its name", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "nightly"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    responses((status = 200, body = ScheduleRan), Refused))]
pub async fn run(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path((project, schedule)): Path<(String, String)>,
) -> Answer<Answered<ScheduleRan>> {
    Ok(Answered(control.run_schedule(&asked, &format!("{project}/{schedule}")).await?))
}

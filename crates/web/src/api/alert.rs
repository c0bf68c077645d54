use axum::Json as Answered;
use model::AlertId;
use model::alert::AlertState;
use protocol::api::{Alert, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use crate::extract::{Acting, Asks, Path, Query};
use crate::failure::Answer;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those `open`, `acknowledged` or `resolved`; default: those that are not resolved.
    #[param(value_type = Option<String>)]
    pub state: Option<AlertState>,
    /// At most this many, up to 1,000; default 100.
    #[serde(default)]
    #[param(value_type = Option<u32>)]
    pub limit: u32,
}

/// Alerts, newest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", operation_id = "list_alerts",
    params(Filter), responses((status = 200, body = Page<Alert>), Refused))]
pub async fn list(Acting(control): Acting, Query(filter): Query<Filter>) -> Answer<Answered<Page<Alert>>> {
    Ok(Answered(Page { items: control.alerts(filter.state, filter.limit).await? }))
}

/// Say that somebody looks at it. It resolves by itself when its condition has ended.
#[utoipa::path(post, path = "/api/v1/alerts/{alert}/acknowledge", tag = "alerts",
    operation_id = "acknowledge_alert", params(("alert" = Uuid, Path)),
    responses((status = 200, body = Alert), Refused))]
pub async fn acknowledge(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(alert): Path<AlertId>,
) -> Answer<Answered<Alert>> {
    Ok(Answered(control.acknowledge_alert(&asked, alert).await?))
}

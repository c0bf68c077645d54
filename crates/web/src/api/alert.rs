use axum::Json as Answered;
use model::AlertId;
use model::alert::AlertState;
use protocol::api::{Alert, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Asks, Path, Query};
use crate::failure::Answer;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those `open`, `acknowledged` or `resolved`; default: those that are not resolved.
    #[param(value_type = Option<String>, pattern = "^(open|acknowledged|resolved)$")]
    pub state: Option<AlertState>,
}

/// Alerts, newest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", operation_id = "list_alerts",
    params(Filter, Cut), responses((status = 200, body = Page<Alert>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(filter): Query<Filter>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Alert>>> {
    Ok(Answered(control.alerts(filter.state, &cut.slice()?).await?))
}

/// Say that somebody looks at it. It resolves by itself when its condition has ended.
#[utoipa::path(post, path = "/api/v1/alerts/{alert}/acknowledge", tag = "alerts",
    operation_id = "acknowledge_alert", params(("alert" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    responses((status = 200, body = Alert), Refused))]
pub async fn acknowledge(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(alert): Path<AlertId>,
) -> Answer<Answered<Alert>> {
    Ok(Answered(control.acknowledge_alert(&asked, alert).await?))
}

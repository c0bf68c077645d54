use model::AlertId;
use model::alert::AlertState;
use protocol::api::Alert;

use crate::{Asked, Control, Refusal, Result};

impl Control {
    /// In one state or, when none is said, not resolved; newest first, at most
    /// `limit` (0: 100; never more than 1,000).
    pub async fn alerts(&self, state: Option<AlertState>, limit: u32) -> Result<Vec<Alert>> {
        let limit = if limit == 0 { 100 } else { limit.min(1000) };
        let alerts = database::alert::list(&self.database().await?, state, limit).await?;
        Ok(alerts.into_iter().map(shown).collect())
    }

    /// Somebody looks at it. Said again, it stays as the first said it.
    pub async fn acknowledge_alert(&self, asked: &Asked, alert: AlertId) -> Result<Alert> {
        let database = self.database().await?;
        let acknowledged = database::alert::acknowledge(&database, alert, &asked.by.to_string()).await?;
        let found = database::alert::find(&database, alert).await?;
        let found = found.ok_or_else(|| {
            Refusal::not_found("alert", alert).hint("`heddle alert list` shows those that are open")
        })?;
        if !acknowledged && found.state == AlertState::Resolved {
            let detail = format!("the alert {alert} is resolved: its condition does not hold any more");
            return Err(Refusal::wrong_state(detail).into());
        }
        Ok(shown(found))
    }
}

fn shown(alert: database::alert::Alert) -> Alert {
    Alert {
        id: alert.id.0,
        kind: alert.kind,
        subject: alert.subject,
        project: alert.project,
        severity: alert.severity,
        state: alert.state,
        detail: alert.detail,
        opened_at: alert.opened_at,
        acknowledged_by: alert.acknowledged_by,
        acknowledged_at: alert.acknowledged_at,
        resolved_at: alert.resolved_at,
    }
}

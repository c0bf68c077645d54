use model::AlertId;
use model::access::Permission;
use model::alert::AlertState;
use protocol::api::{Alert, Page};

use crate::{Asked, Control, Refusal, Result, Slice};

impl Control {
    /// In one state or, when none is said, not resolved; newest first.
    pub async fn alerts(&self, state: Option<AlertState>, slice: &Slice<AlertId>) -> Result<Page<Alert>> {
        let alerts = database::alert::list(&self.database().await?, state, slice.after, slice.rows()).await?;
        Ok(slice.page(alerts.into_iter().map(shown).collect(), |alert| alert.id.to_string()))
    }

    /// Somebody looks at it. Said again, it stays as the first said it.
    pub async fn acknowledge_alert(&self, asked: &Asked, alert: AlertId) -> Result<Alert> {
        let database = self.database().await?;
        let found = find(&database, alert).await?;
        let what = "acknowledge its alerts";
        match (found.project_id, &found.project) {
            (Some(project), Some(name)) => {
                self.permit(&database, project, name, Permission::Operate, what).await?;
            }
            _ => self.permit_operator(&database, "acknowledge alerts of the installation").await?,
        }
        let acknowledged = database::alert::acknowledge(&database, alert, &asked.by.to_string()).await?;
        let found = find(&database, alert).await?;
        if !acknowledged && found.state == AlertState::Resolved {
            let detail = format!("the alert {alert} is resolved: its condition does not hold any more");
            return Err(Refusal::wrong_state(detail).into());
        }
        Ok(shown(found))
    }
}

async fn find(on: &impl database::On, alert: AlertId) -> Result<database::alert::Alert> {
    Ok(database::alert::find(on, alert).await?.ok_or_else(|| {
        Refusal::not_found("alert", alert).hint("`heddle alert list` shows those that are open")
    })?)
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

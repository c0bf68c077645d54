use model::RunId;
use model::run::RunState;
use protocol::internal::{Finish, Outcome};

use crate::matter::{Matter, expect};
use crate::{Control, Result};

impl Control {
    /// Ends a run, and moves what it is about along. Said again under the same
    /// lease, it succeeds. A success whose post-condition does not hold is a
    /// failure.
    pub async fn finish(&self, run: RunId, finish: Finish) -> Result<()> {
        let redactor = self.redactor_of_run(run).await?;
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let Some(held) = database::lease::hold(&transaction, run, finish.fence).await? else {
            let found = crate::run::find(&transaction, run).await?;
            let again = found.state.ended() && found.fence == Some(finish.fence);
            return if again { Ok(()) } else { Err(crate::lease::stale(run)) };
        };
        let matter = Matter::from(&held);
        let (state, reason, hint) = match finish.outcome {
            Outcome::Succeeded => match matter.unmet(&transaction, held.started_at).await? {
                None => (RunState::Succeeded, None, None),
                Some(unmet) => (RunState::Failed, Some(unmet), None),
            },
            Outcome::Failed { reason, hint } => {
                (RunState::Failed, Some(redactor.clean(reason)), hint.map(|hint| redactor.clean(hint)))
            }
            Outcome::Cancelled => (RunState::Cancelled, Some("it was cancelled".to_owned()), None),
        };
        if let Some(reason) = &reason {
            matter.fail(&transaction, reason).await?;
        }
        let (from, reason, hint) = ([RunState::Running], reason.as_deref(), hint.as_deref());
        expect(database::run::set_state(&transaction, run, &from, state, reason, hint).await?, "run")?;
        database::lease::release(&transaction, run).await?;
        database::commit(transaction).await?;
        drop(connection);
        daemon::fault::reach("control.finish").await;
        self.told();
        self.routed();
        // Its tenant is free for the next run.
        self.queued();
        Ok(())
    }
}

//! What a command that did not succeed tells its user.

use std::error::Error;
use std::fmt::Display;

use protocol::client::ClientError;
use serde_json::json;

use crate::exit::Exit;

/// An error as a person reads it: what is wrong, why, and what to do.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// A stable word, such as `not-found` or `port-in-use`.
    pub kind: String,
    pub detail: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, kind: &str, detail: impl Into<String>) -> Self {
        Self { exit, kind: kind.into(), detail: detail.into(), causes: Vec::new(), hint: None }
    }

    /// A failure of this machine or of Heddle itself while it tried `what`
    /// ("read the settings").
    pub fn while_trying(what: impl Display, source: &(dyn Error + 'static)) -> Self {
        Self::new(Exit::Failed, "failed", format!("could not {what}")).because(source)
    }

    pub fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", detail)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn because(mut self, source: &(dyn Error + 'static)) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// One line of JSON, or lines for people.
    pub fn render(&self, as_json: bool) -> String {
        if as_json {
            let mut detail = self.detail.clone();
            for cause in &self.causes {
                detail += ": ";
                detail += cause;
            }
            let error = json!({"error": {"kind": self.kind, "detail": detail, "hint": self.hint}});
            return format!("{error}\n");
        }
        let mut text = format!("error: {}\n", self.detail);
        for cause in &self.causes {
            text += &format!("  because: {cause}\n");
        }
        if let Some(hint) = &self.hint {
            text += &format!("hint: {hint}\n");
        }
        text
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => {
                let exit = exit(problem.status);
                let mut failure = Self::new(exit, &problem.kind, &problem.detail);
                // Where a command has its key from, control does not know.
                let hint = problem.hint.filter(|_| problem.kind != "unauthenticated");
                failure.hint = match (hint, exit) {
                    (Some(hint), _) => Some(hint),
                    (None, Exit::Denied) if std::env::var_os("HEDDLE_API_KEY").is_some() => Some(
                        "it is the one in HEDDLE_API_KEY; unset that to use the data folder's own, or set another"
                            .into(),
                    ),
                    (None, Exit::Denied) => Some(
                        "name the data folder with --data, or set HEDDLE_API_KEY to a key that may do this"
                            .into(),
                    ),
                    (None, Exit::Failed) if !problem.request_id.is_empty() => {
                        Some(format!("control's log says more about request {}", problem.request_id))
                    }
                    _ => None,
                };
                failure
            }
            ClientError::Unreachable { ref url, ref source } => {
                let detail = format!("control does not answer at {url}");
                let mut failure = Self::new(Exit::Unreachable, "unreachable", detail).because(source);
                // The last says why; those around it only that a request was made.
                failure.causes.drain(..failure.causes.len().saturating_sub(1));
                failure.hint("start it with `heddle up`, or name another address with --url or HEDDLE_URL")
            }
            ClientError::Answer { .. } => Self::while_trying("talk to control", &error)
                .hint("are this `heddle` and the running one of the same version? `heddle status` tells"),
        }
    }
}

impl From<control::Error> for Failure {
    fn from(error: control::Error) -> Self {
        match error {
            control::Error::Refused(refusal) => {
                let mut failure =
                    Self::new(exit(refusal.kind.status()), refusal.kind.as_str(), refusal.detail);
                failure.hint = refusal.hint;
                failure
            }
            ours => Self::new(Exit::Failed, "failed", "control failed").because(&ours),
        }
    }
}

impl From<worker::Failure> for Failure {
    fn from(error: worker::Failure) -> Self {
        let failure = Self::while_trying("work", &error);
        Self { hint: error.into_hint(), ..failure }
    }
}

fn exit(status: u16) -> Exit {
    match status {
        401 | 403 => Exit::Denied,
        400..=499 => Exit::Refused,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use protocol::api::Problem;

    use super::*;

    fn refused(status: u16, hint: Option<&str>) -> Failure {
        ClientError::Refused(Box::new(Problem {
            kind: "taken".into(),
            title: "Taken".into(),
            status,
            detail: "a tenant named acme exists".into(),
            hint: hint.map(Into::into),
            request_id: "r-1".into(),
        }))
        .into()
    }

    #[test]
    fn refusals_keep_their_words() {
        let failure = refused(409, Some("choose another name"));
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.render(false), "error: a tenant named acme exists\nhint: choose another name\n");
        assert_eq!(
            failure.render(true),
            "{\"error\":{\"detail\":\"a tenant named acme exists\",\"hint\":\"choose another name\",\"kind\":\"taken\"}}\n"
        );
    }

    #[test]
    fn statuses_become_exit_codes() {
        assert_eq!(refused(401, None).exit, Exit::Denied);
        assert!(refused(401, None).hint.unwrap().contains("HEDDLE_API_KEY"));
        assert_eq!(refused(404, None).exit, Exit::Refused);
        assert_eq!(refused(500, None).exit, Exit::Failed);
        assert!(refused(500, None).hint.unwrap().contains("r-1"));
    }
}

//! Exit codes. `docs/reference/exit-codes.md` is written from this table.

use std::process::ExitCode;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)*) => {
        /// How a command ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Exit { $($(#[doc = $doc])+ $name = $code,)* }

        impl Exit {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub const fn code(self) -> u8 {
                self as u8
            }

            /// What the code means, for the table.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)* }
            }
        }
    };
}

codes! {
    /// Done, and its end was seen.
    Ok = 0,
    /// Something failed on Heddle's side or on this machine.
    Failed = 1,
    /// The command line could not be understood. Nothing was done.
    Usage = 2,
    /// Refused: not found, taken, not in a state that allows it. Nothing was done.
    Refused = 3,
    /// Control could not be reached.
    Unreachable = 4,
    /// The plan is ready and waits for `--yes`. Nothing was changed.
    NeedsConfirmation = 5,
    /// The run ended, and it failed.
    RunFailed = 6,
    /// The key is missing, wrong, or may not do this. Nothing was done.
    Denied = 7,
    /// The run was cancelled before its end.
    RunCancelled = 8,
    /// Something in the repository or in the audit is not as it should be. The findings say what and where.
    Findings = 9,
    /// What was waited for did not come in time. It goes on.
    TimedOut = 10,
    /// Interrupted (Ctrl-C). A run that was being followed goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn the_reference_lists_every_code() {
        let mut text = String::from(
            "# Exit codes\n\n\
             Every `heddle` command ends with one of these. With `--json`, an error is also one line of JSON on\n\
             standard error: `{\"error\": {\"kind\", \"detail\", \"hint\"}}`.\n\n\
             | code | meaning |\n|---|---|\n",
        );
        for exit in Exit::ALL {
            text += &format!("| {} | {} |\n", exit.code(), exit.meaning().trim());
        }
        text += "\n`heddle wal fetch` speaks to PostgreSQL, which reads its codes in its own way: 0 fetched, 1 not in\n\
                 the archive (the normal end of recovery), 126 anything else, at which PostgreSQL stops recovery\n\
                 instead of ending it early. `heddle wal push` ends with 0 once the file is durable, else with 1,\n\
                 and PostgreSQL tries again.\n";
        reference::compare("exit-codes.md", &text);
    }

    #[test]
    fn codes_are_distinct() {
        for (index, exit) in Exit::ALL.iter().enumerate() {
            assert!(Exit::ALL[..index].iter().all(|other| other.code() != exit.code()), "{exit:?}");
        }
    }
}

//! Commands that PostgreSQL hands to a shell, and values in its files.

use std::path::Path;

/// A command for `archive_command` or `restore_command`. Its arguments reach
/// the program unchanged, whatever characters they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand(String);

impl ShellCommand {
    pub fn new(program: &str) -> Self {
        Self(word(program))
    }

    pub fn arg(mut self, text: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(&word(text));
        self
    }

    /// The same command for a recovery some of whose WAL is in `pg_wal` already,
    /// marked as archived: for that it ends with 1 at once, at which PostgreSQL
    /// reads what is there. The mark and not the segment tells, since PostgreSQL
    /// gives segments that it has replayed the names of later ones.
    pub fn unless_in_place(self) -> Self {
        Self(format!("test ! -f pg_wal/archive_status/'%f'.done || exit 1; {}", self.0))
    }

    /// The path, from the data directory, of the file to be read or written (`%p`).
    pub fn wal_path(mut self) -> Self {
        self.0.push_str(" '%p'");
        self
    }

    /// The file's name alone (`%f`).
    pub fn wal_name(mut self) -> Self {
        self.0.push_str(" '%f'");
        self
    }

    /// The file's name in a folder; None if the folder's name is not UTF-8.
    pub fn wal_name_in(mut self, folder: &Path) -> Option<Self> {
        self.0.push(' ');
        self.0.push_str(&word(folder.to_str()?));
        self.0.push_str("/'%f'");
        Some(self)
    }

    /// As it stands in the setting, before [`setting`] quotes it for the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One word for the shell, with PostgreSQL's own placeholders escaped.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('%', "%%"))
}

/// A string as postgresql.conf takes it.
pub(crate) fn setting(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// One folder for a setting that takes a list of them.
pub(crate) fn list_entry(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_quote_for_the_shell_and_for_postgresql() {
        let command = ShellCommand::new("/opt/it's/heddle")
            .arg("wal")
            .arg("push")
            .arg("--socket")
            .arg("/run/100% $HOME\\x.sock")
            .wal_path();
        assert_eq!(
            command.as_str(),
            r"'/opt/it'\''s/heddle' 'wal' 'push' '--socket' '/run/100%% $HOME\x.sock' '%p'"
        );
        assert_eq!(
            ShellCommand::new("cp").wal_name_in(Path::new("/a b")).unwrap().wal_path().as_str(),
            "'cp' '/a b'/'%f' '%p'"
        );
    }

    #[test]
    fn settings_double_quotes_and_backslashes() {
        assert_eq!(setting(r"a'b\c"), r"'a''b\\c'");
        assert_eq!(list_entry(r#"a"b,c"#), r#""a""b,c""#);
    }
}

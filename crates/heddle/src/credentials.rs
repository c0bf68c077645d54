//! The keys that a user has logged in with, in a file of their own.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use daemon::secretfile::{self, SecretError};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::failure::Failure;

/// `heddle/credentials.toml` in the user's folder for settings.
#[derive(Debug)]
pub struct Credentials {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The server that was logged in to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    servers: BTreeMap<String, Server>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Server {
    /// Whose key it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    pub key: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("login", &self.login).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Empty where nobody has logged in yet. Refused if others may read them.
    pub fn load() -> Result<Self, Failure> {
        let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        let folder = folder.ok_or_else(|| {
            Failure::new(Exit::Failed, "no-home", "neither XDG_CONFIG_HOME nor HOME is set")
                .hint("set one of them, or HEDDLE_API_KEY")
        })?;
        Self::at(&folder.join("heddle"))
    }

    fn at(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("credentials.toml");
        let wide = |detail: String, hint: String| Failure::new(Exit::Denied, "exposed", detail).hint(hint);
        match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, kept: Kept::default() });
            }
            Err(error) => {
                return Err(Failure::while_trying(format!("look at {}", folder.display()), &error));
            }
            Ok(found) if !found.is_dir() => {
                let detail = format!("{} is no folder", folder.display());
                return Err(wide(detail, "move it away".into()));
            }
            Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
                let detail = format!("{} belongs to another user", folder.display());
                return Err(wide(detail, "keys are kept in a folder of one's own".into()));
            }
            Ok(found) if found.mode() & 0o077 != 0 => {
                let mode = found.mode() & 0o777;
                let detail = format!("others may look into {} (its mode is {mode:04o})", folder.display());
                return Err(wide(detail, format!("`chmod 700 {}`", folder.display())));
            }
            Ok(_) => {}
        }
        let text = match secretfile::read(&path) {
            Ok(text) => text,
            Err(SecretError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => {
                return Err(Failure::new(
                    Exit::Denied,
                    "exposed",
                    "the keys you have logged in with are not used",
                )
                .because(&error));
            }
        };
        let kept = toml::from_str(&text).map_err(|error| {
            // Its own text shows the line, which may hold a key.
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            Failure::new(
                Exit::Failed,
                "credentials",
                format!("line {line} of {} is not understood", path.display()),
            )
            .hint("correct it, or remove the file and log in again")
        })?;
        Ok(Self { path, kept })
    }

    /// The server that is meant where none is named.
    pub fn current(&self) -> Option<&str> {
        self.kept.current.as_deref().filter(|url| self.kept.servers.contains_key(*url))
    }

    pub fn server(&self, url: &str) -> Option<&Server> {
        self.kept.servers.get(url.trim_end_matches('/'))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a key; its server is the current one from now on.
    pub fn keep(&mut self, url: &str, server: Server) -> Result<(), Failure> {
        let url = url.trim_end_matches('/').to_owned();
        self.kept.servers.insert(url.clone(), server);
        self.kept.current = Some(url);
        self.write()
    }

    pub fn forget(&mut self, url: &str) -> Result<(), Failure> {
        let url = url.trim_end_matches('/');
        self.kept.servers.remove(url);
        if self.kept.current.as_deref() == Some(url) {
            // With one left there is no question which.
            let mut left = self.kept.servers.keys();
            self.kept.current = left.next().filter(|_| left.next().is_none()).cloned();
        }
        self.write()
    }

    fn write(&self) -> Result<(), Failure> {
        let folder = self.path.parent().expect("the file lies in a folder");
        let made = || -> io::Result<()> {
            if let Some(above) = folder.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(above)?;
            }
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        };
        made().map_err(|error| Failure::while_trying(format!("make {}", folder.display()), &error))?;
        let text = toml::to_string(&self.kept)
            .map_err(|error| Failure::while_trying("write down the key", &error))?;
        secretfile::write(&self.path, text.as_bytes())
            .map_err(|error| Failure::while_trying("keep the key", &error))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn server(key: &str) -> Server {
        Server { login: Some("ada".into()), key: key.into() }
    }

    #[test]
    fn keys_are_kept_by_server_and_for_their_owner() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("config/heddle");
        let mut credentials = Credentials::at(&folder).unwrap();
        assert!(credentials.current().is_none());
        credentials.keep("http://a:7700/", server("hk_a_1")).unwrap();
        credentials.keep("http://b:7700", server("hk_b_1")).unwrap();
        credentials.keep("http://a:7700", server("hk_a_2")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(credentials.path())), (0o700, 0o600));

        let mut again = Credentials::at(&folder).unwrap();
        assert_eq!(again.current(), Some("http://a:7700"));
        assert_eq!(again.server("http://a:7700/").unwrap().key, "hk_a_2");
        assert_eq!(again.server("http://b:7700").unwrap().key, "hk_b_1");
        assert!(again.server("http://c:7700").is_none());
        again.forget("http://a:7700").unwrap();
        assert_eq!(Credentials::at(&folder).unwrap().current(), Some("http://b:7700"));
        assert!(!format!("{again:?}").contains("hk_"));
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("heddle");
        Credentials::at(&folder).unwrap().keep("http://a", server("hk_a_1")).unwrap();
        let file = folder.join("credentials.toml");
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o750, 0o701, 0o755] {
            open(&folder, mode);
            let failure = Credentials::at(&folder).unwrap_err();
            assert_eq!(failure.exit, Exit::Denied);
            assert!(failure.hint.unwrap().contains("chmod 700"));
        }
        open(&folder, 0o700);
        for mode in [0o640, 0o604, 0o644] {
            open(&file, mode);
            let failure = Credentials::at(&folder).unwrap_err();
            assert!(failure.render(false).contains("chmod 600"), "{}", failure.render(false));
        }
        open(&file, 0o600);
        Credentials::at(&folder).unwrap();
        fs::write(&file, "current = hk_not_toml").unwrap();
        open(&file, 0o600);
        let failure = Credentials::at(&folder).unwrap_err().render(false);
        assert!(failure.contains("line 1") && !failure.contains("hk_not_toml"), "{failure}");
    }
}

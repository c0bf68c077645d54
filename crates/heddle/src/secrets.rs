//! The data folder's secrets: one file each, in a folder that is nobody else's.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use control::AuditKey;
use daemon::secretfile::{self, SecretError};

use crate::exit::Exit;
use crate::failure::Failure;

const SECRETS_KEY: &str = "secrets.key";

#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("secrets") }
    }

    /// The API key of this machine's own command line.
    pub fn admin_key(&self) -> Result<String, Failure> {
        let path = self.path("admin.key");
        match self.read("admin.key") {
            Ok(Some(key)) => Ok(key),
            Ok(None) => Err(Failure::new(
                Exit::Denied,
                "no-key",
                format!("there is no API key: {} does not exist", path.display()),
            )
            .hint("name the data folder of the running `heddle up` with --data, or set HEDDLE_API_KEY")),
            Err(error) => Err(Failure::new(Exit::Denied, "no-key", "there is no API key that you may read")
                .because(&error)
                .hint("run this as the user of `heddle up`, or set HEDDLE_API_KEY")),
        }
    }

    /// The admin key, if there is one yet.
    pub fn known_admin_key(&self) -> Result<Option<String>, Failure> {
        self.read("admin.key").map_err(|error| Failure::while_trying("read the API key", &error))
    }

    pub fn write_admin_key(&self, key: &str) -> Result<(), Failure> {
        self.write("admin.key", key)
    }

    /// The bearer key between control, worker and router; made when missing.
    pub fn platform_key(&self) -> Result<String, Failure> {
        let known = self.read("platform.key");
        if let Some(key) = known.map_err(|error| Failure::while_trying("read the platform's key", &error))? {
            return Ok(key);
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Failure::while_trying("draw random bytes", &error))?;
        let key = format!("hp_{}", hex::encode(bytes));
        self.write("platform.key", &key)?;
        Ok(key)
    }

    /// Makes the file with the key that tenants' secrets are kept under, where
    /// it is meant to be and is not. Elsewhere than in the folder it is whoever
    /// runs this machine that makes it.
    pub fn make_secrets_key(&self, file: &Path) -> Result<(), Failure> {
        if file != self.path(SECRETS_KEY) || file.exists() {
            return Ok(());
        }
        self.write(SECRETS_KEY, control::new_key_file()?.trim_end())
    }

    /// What the audit's chains are signed with; made when missing.
    pub fn audit_key(&self) -> Result<AuditKey, Failure> {
        let known = self.read("audit.key");
        let known = known.map_err(|error| Failure::while_trying("read the audit's key", &error))?;
        let secret = match known {
            Some(secret) => secret,
            None => {
                let secret = AuditKey::draw()?;
                self.write("audit.key", &secret)?;
                secret
            }
        };
        AuditKey::parse(&secret).ok_or_else(|| {
            let path = self.path("audit.key");
            Failure::new(Exit::Failed, "bad-key", format!("{} is no key for the audit", path.display()))
                .hint("bring it back from a backup; without it, move it aside, and a new one is made")
        })
    }

    /// How control reaches its database, as its lesser role.
    pub fn control_url(&self) -> Result<String, Failure> {
        let known = self.read("control.url");
        known.map_err(|error| Failure::while_trying("read the database's address", &error))?.ok_or_else(
            || {
                let path = self.path("control.url");
                Failure::new(Exit::Refused, "no-database", format!("{} does not exist", path.display()))
                    .hint("`heddle up` makes it; name its data folder with --data")
            },
        )
    }

    pub fn write_control_url(&self, url: &str) -> Result<(), Failure> {
        self.write("control.url", url)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Result<Option<String>, SecretError> {
        match secretfile::read(&self.path(name)) {
            Ok(secret) => Ok(Some(secret).filter(|secret| !secret.is_empty())),
            Err(SecretError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, secret: &str) -> Result<(), Failure> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .and_then(|()| fs::set_permissions(&self.folder, Permissions::from_mode(0o700)));
        made.map_err(|error| {
            Failure::while_trying(format!("make the folder {}", self.folder.display()), &error)
        })?;
        secretfile::write(&self.path(name), format!("{secret}\n").as_bytes())
            .map_err(|error| Failure::while_trying("keep a secret", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_to_their_owner() {
        let data = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(data.path());
        assert_eq!(secrets.admin_key().unwrap_err().exit, Exit::Denied);
        let key = secrets.platform_key().unwrap();
        assert_eq!(key, secrets.platform_key().unwrap());
        assert_eq!(key.len(), 67);
        secrets.write_admin_key("hk_a_b").unwrap();
        secrets.write_admin_key("hk_c_d").unwrap();
        assert_eq!(secrets.admin_key().unwrap(), "hk_c_d");
        assert_eq!(secrets.audit_key().unwrap().public(), secrets.audit_key().unwrap().public());
        let mode = |path: &str| fs::metadata(data.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("secrets"), 0o700);
        assert_eq!(mode("secrets/admin.key"), 0o600);
        assert_eq!(mode("secrets/platform.key"), 0o600);
        assert_eq!(mode("secrets/audit.key"), 0o600);
    }
}

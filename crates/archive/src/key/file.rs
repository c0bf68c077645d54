//! Master keys in a file: one a line, the present one first. What older ones
//! sealed is still opened, so that a rotation can be broken off and gone on
//! with.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::secretfile::{self, SecretError};
use model::TenantId;
use ring::digest::{Context, SHA256};

use super::{Keys, WrapError, Wrapped, Wrapper};
use crate::seal::{self, Secret};

const BY: &str = "key-file";

/// More than these in one file are a mistake.
const MOST: usize = 16;

/// A key that seals tenants' keys.
pub struct MasterKey(Secret);

impl MasterKey {
    pub fn random() -> Result<Self, WrapError> {
        Secret::random().map(Self).map_err(WrapError::Make)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(line, &mut bytes).ok()?;
        Some(Self(Secret(bytes)))
    }

    /// Names the key and tells nothing of it.
    pub fn id(&self) -> String {
        let mut digest = Context::new(&SHA256);
        digest.update(b"heddle master key");
        digest.update(&self.0.0);
        hex::encode(&digest.finish().as_ref()[..8])
    }

    fn line(&self) -> String {
        hex::encode(self.0.0) + "\n"
    }

    fn wrap(&self, tenant: TenantId, secret: &Secret) -> Result<Wrapped, WrapError> {
        let sealed = seal::seal(&self.0, tenant, "key.json", &secret.0).map_err(WrapError::Make)?;
        Ok(Wrapped { by: BY.to_owned(), master: self.id(), sealed: hex::encode(sealed) })
    }

    fn unwrap(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Secret, WrapError> {
        let sealed = hex::decode(&wrapped.sealed).map_err(|_| WrapError::Damaged)?;
        let opened = seal::open(&self.0, tenant, "key.json", &sealed, 32).map_err(|_| WrapError::Damaged)?;
        Ok(Secret(opened.try_into().map_err(|_| WrapError::Damaged)?))
    }
}

/// A key file. It is read each time, which is seldom, so that a rotation is
/// noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
    /// One of systemd's, which sees to who may read it.
    credential: bool,
}

/// The credential that `LoadCredential=` or `LoadCredentialEncrypted=` provides.
const CREDENTIAL: &str = "heddle-repository.key";

impl KeyFile {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), credential: false }
    }

    /// The file that systemd provides as the credential `heddle-repository.key`;
    /// None if it does not.
    pub fn credential() -> Option<Self> {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty())?;
        let path = Path::new(&folder).join(CREDENTIAL);
        path.exists().then_some(Self { path, credential: true })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file with a new key, for its owner alone, unless it is there.
    pub fn make(&self) -> Result<(), WrapError> {
        if self.path.exists() {
            return self.read().map(drop);
        }
        secretfile::write(&self.path, MasterKey::random()?.line().as_bytes()).map_err(WrapError::File)
    }

    /// Puts a new key before those in the file; its id.
    pub fn begin_rotation(&self) -> Result<String, WrapError> {
        let held = self.read()?;
        let new = MasterKey::random()?;
        let text: String = std::iter::once(&new).chain(&held).map(MasterKey::line).collect();
        secretfile::write(&self.path, text.as_bytes()).map_err(WrapError::File)?;
        Ok(new.id())
    }

    /// Leaves only the present key in the file; the ids of those that went.
    pub fn end_rotation(&self) -> Result<Vec<String>, WrapError> {
        let held = self.read()?;
        let Some((present, old)) = held.split_first() else { return Ok(Vec::new()) };
        if !old.is_empty() {
            secretfile::write(&self.path, present.line().as_bytes()).map_err(WrapError::File)?;
        }
        Ok(old.iter().map(MasterKey::id).collect())
    }

    /// How many keys are in it: more than one while a rotation is not over.
    pub fn count(&self) -> Result<usize, WrapError> {
        Ok(self.read()?.len())
    }

    fn read(&self) -> Result<Vec<MasterKey>, WrapError> {
        let text = match self.credential {
            false => secretfile::read(&self.path).map_err(|error| match error {
                SecretError::Read { ref source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    WrapError::NoFile(self.path.clone())
                }
                error => WrapError::File(error),
            })?,
            true => {
                let mut text = String::new();
                let read =
                    File::open(&self.path).and_then(|file| file.take(1 << 16).read_to_string(&mut text));
                read.map_err(|source| WrapError::Credential { path: self.path.clone(), source })?;
                text
            }
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let held: Option<Vec<_>> = lines.map(MasterKey::parse).collect();
        held.filter(|held| (1..=MOST).contains(&held.len()))
            .ok_or_else(|| WrapError::NotAKeyFile(self.path.clone()))
    }
}

impl From<KeyFile> for Keys {
    fn from(file: KeyFile) -> Self {
        Arc::new(file)
    }
}

impl Wrapper for KeyFile {
    fn wrap(&self, tenant: TenantId, secret: &Secret) -> Result<Wrapped, WrapError> {
        let held = self.read()?;
        held.first().ok_or_else(|| WrapError::NotAKeyFile(self.path.clone()))?.wrap(tenant, secret)
    }

    fn unwrap(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Secret, WrapError> {
        if wrapped.by != BY {
            return Err(WrapError::OtherKind(wrapped.by.clone()));
        }
        let held = self.read()?;
        match held.iter().find(|key| key.id() == wrapped.master) {
            Some(key) => key.unwrap(tenant, wrapped),
            None => {
                let held: Vec<_> = held.iter().map(MasterKey::id).collect();
                Err(WrapError::OtherMaster { wanted: wrapped.master.clone(), held: held.join(", ") })
            }
        }
    }

    fn is_current(&self, wrapped: &Wrapped) -> Result<bool, WrapError> {
        Ok(wrapped.by == BY && self.read()?.first().is_some_and(|key| key.id() == wrapped.master))
    }
}

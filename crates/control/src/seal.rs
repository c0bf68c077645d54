//! Keys: what data keys are wrapped by, and what values are sealed with.
//! AES-256-GCM throughout, each sealed text bound to what it is and where it
//! stands, so that none can be put in another's place.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use daemon::secretfile;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, Kind, Refusal, Result};

const NONCE: usize = 12;

/// Why something sealed could not be opened, or nothing sealed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("read the key file of the secrets")]
    File(#[source] secretfile::SecretError),
    #[error("write the key file of the secrets")]
    Write(#[source] secretfile::SecretError),
    #[error("line {0} of {1:?} is no key: a name of 8 and a key of 64 hexadecimal digits")]
    Line(usize, PathBuf),
    #[error("{0:?} holds no key")]
    Empty(PathBuf),
    #[error("the key {0} that a data key is wrapped by is not in the key file")]
    Unknown(String),
    #[error("{0} does not open: it was changed, belongs elsewhere, or the key is another one")]
    Sealed(String),
}

/// Of a data key or a key-encryption key; wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(Error::Random)?;
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.0).into())
    }

    /// A nonce, then the text and its tag. `place` says what it is and where it
    /// stands; it opens nowhere else.
    pub fn seal(&self, place: &str, text: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(Error::Random)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| KeyError::Sealed(place.to_owned()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let broken = || KeyError::Sealed(place.to_owned());
        let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        self.cipher().decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| broken())
    }

    /// 16 digits that tell texts apart to whoever does not have the key.
    pub fn fingerprint(&self, text: &[u8]) -> String {
        let mut hash = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes any key");
        hash.update(b"fingerprint|");
        hash.update(text);
        hex::encode(&hash.finalize().into_bytes()[..8])
    }
}

/// A key-encryption key, by the name that stands beside what it wraps.
#[derive(Clone)]
pub struct NamedKey {
    pub name: String,
    pub key: Key,
}

impl NamedKey {
    fn random() -> Result<Self> {
        let mut name = [0; 4];
        getrandom::fill(&mut name).map_err(Error::Random)?;
        Ok(Self { name: hex::encode(name), key: Key::random()? })
    }

    fn line(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{} {}\n", self.name, *Zeroizing::new(hex::encode(*self.key.0))))
    }
}

/// Where key-encryption keys come from: a file, one a line, of which the first
/// is in use. A credential that systemd hands over is such a file too; a service
/// that wraps keys itself would take this type's place.
pub struct KeyFile {
    file: Option<PathBuf>,
    known: Mutex<Vec<NamedKey>>,
}

impl KeyFile {
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, known: Mutex::default() }
    }

    /// The key in use, read anew: another process may have rotated it.
    pub fn current(&self) -> Result<NamedKey> {
        let keys = self.read()?;
        Ok(keys[0].clone())
    }

    pub fn named(&self, name: &str) -> Result<Key> {
        let find = |keys: &[NamedKey]| keys.iter().find(|key| key.name == name).map(|key| key.key.clone());
        let known = find(&self.known.lock().unwrap_or_else(PoisonError::into_inner));
        match known {
            Some(key) => Ok(key),
            None => find(&self.read()?).ok_or_else(|| KeyError::Unknown(name.to_owned()).into()),
        }
    }

    fn read(&self) -> Result<Vec<NamedKey>> {
        let file = self.file.as_ref().ok_or_else(|| {
            Refusal::new(Kind::Unavailable, "this Heddle keeps no secrets: it has no key file for them")
                .hint("set secrets_key to a file that `heddle up` has made")
        })?;
        let text = Zeroizing::new(secretfile::read(file).map_err(KeyError::File)?);
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = || KeyError::Line(index + 1, file.clone());
            let (name, key) = line.split_once(' ').ok_or_else(wrong)?;
            let bytes = Zeroizing::new(hex::decode(key).map_err(|_| wrong())?);
            let key = Key::from_slice(&bytes).filter(|_| name.len() == 8).ok_or_else(wrong)?;
            keys.push(NamedKey { name: name.to_owned(), key });
        }
        if keys.is_empty() {
            return Err(KeyError::Empty(file.clone()).into());
        }
        self.know(&keys);
        Ok(keys)
    }

    fn know(&self, keys: &[NamedKey]) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = keys.to_vec();
    }

    /// Puts a new key before those that are there, which still open what they
    /// have wrapped.
    pub fn add(&self) -> Result<NamedKey> {
        let new = NamedKey::random()?;
        let mut keys = self.read()?;
        keys.insert(0, new.clone());
        self.write(&keys)?;
        Ok(new)
    }

    /// Forgets all but the one in use.
    pub fn keep(&self, name: &str) -> Result<()> {
        let mut keys = self.read()?;
        keys.retain(|key| key.name == name);
        self.write(&keys)
    }

    fn write(&self, keys: &[NamedKey]) -> Result<()> {
        let file = self.file.as_ref().expect("it was read from there");
        let text: Zeroizing<String> = Zeroizing::new(keys.iter().map(|key| key.line().to_string()).collect());
        secretfile::write(file, text.as_bytes()).map_err(KeyError::Write)?;
        self.know(keys);
        Ok(())
    }
}

/// What a key file that is not there yet is to hold.
pub fn new_key_file() -> Result<Zeroizing<String>> {
    Ok(NamedKey::random()?.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let key = Key::random().unwrap();
        let sealed = key.seal("secret|tenant:1|A|1", b"hunter2").unwrap();
        assert_eq!(sealed.len(), 12 + 7 + 16);
        assert_eq!(&**key.open("secret|tenant:1|A|1", &sealed).unwrap(), b"hunter2");
        for place in ["secret|tenant:2|A|1", "secret|tenant:1|B|1", "secret|tenant:1|A|2", ""] {
            key.open(place, &sealed).unwrap_err();
        }
        Key::random().unwrap().open("secret|tenant:1|A|1", &sealed).unwrap_err();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            key.open("secret|tenant:1|A|1", &changed).unwrap_err();
        }
        for end in 0..sealed.len() {
            key.open("secret|tenant:1|A|1", &sealed[..end]).unwrap_err();
        }
        assert_ne!(sealed, key.seal("secret|tenant:1|A|1", b"hunter2").unwrap());
    }

    #[test]
    fn a_fingerprint_is_of_one_key() {
        let (one, other) = (Key::random().unwrap(), Key::random().unwrap());
        assert_eq!(one.fingerprint(b"a"), one.fingerprint(b"a"));
        assert_ne!(one.fingerprint(b"a"), one.fingerprint(b"b"));
        assert_ne!(one.fingerprint(b"a"), other.fingerprint(b"a"));
    }

    #[test]
    fn a_rotated_file_opens_old_and_new() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        secretfile::write(&file, new_key_file().unwrap().as_bytes()).unwrap();
        let ring = KeyFile::new(Some(file.clone()));
        let first = ring.current().unwrap();
        // Another process that knows nothing of the rotation.
        let elsewhere = KeyFile::new(Some(file.clone()));
        elsewhere.current().unwrap();
        let second = ring.add().unwrap();
        assert_eq!(elsewhere.current().unwrap().name, second.name);
        ring.named(&first.name).unwrap();
        elsewhere.named(&second.name).unwrap();
        ring.keep(&second.name).unwrap();
        assert!(matches!(ring.named(&first.name), Err(Error::Key(KeyError::Unknown(_)))));
        assert_eq!(secretfile::read(&file).unwrap().lines().count(), 1);
    }

    #[test]
    fn what_is_no_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        let ring = KeyFile::new(Some(file.clone()));
        assert!(matches!(ring.current(), Err(Error::Key(KeyError::File(_)))));
        for (text, line) in [("", 0), ("abc", 1), ("0011aabb 00", 1), ("x 00", 1)] {
            secretfile::write(&file, text.as_bytes()).unwrap();
            match ring.current() {
                Err(Error::Key(KeyError::Empty(_))) => assert_eq!(line, 0, "{text:?}"),
                Err(Error::Key(KeyError::Line(found, _))) => assert_eq!(found, line, "{text:?}"),
                _ => panic!("{text:?} was taken"),
            }
        }
        let none = KeyFile::new(None);
        assert!(matches!(none.current(), Err(Error::Refused(_))));
    }
}

use std::fmt;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::{Error, Result};

/// The key that heads of chains are signed with (Ed25519).
#[derive(Clone)]
pub struct AuditKey {
    pair: Arc<Ed25519KeyPair>,
}

impl AuditKey {
    /// A new key's secret, as `parse` reads it.
    pub fn draw() -> Result<String> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Error::Random)?;
        Ok(hex::encode(seed))
    }

    /// None if it is not 64 hexadecimal digits.
    pub fn parse(secret: &str) -> Option<Self> {
        let seed = hex::decode(secret.trim()).ok()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        Some(Self { pair: Arc::new(pair) })
    }

    /// What others check signatures with, in hexadecimal digits.
    pub fn public(&self) -> String {
        hex::encode(self.public_bytes())
    }

    pub(crate) fn public_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.public())
    }
}

/// `key` and `signature` in hexadecimal digits.
pub(super) fn signed_by(key: &str, message: &[u8], signature: &str) -> bool {
    let (Ok(key), Ok(signature)) = (hex::decode(key), hex::decode(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(message, &signature).is_ok()
}

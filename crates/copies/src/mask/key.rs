use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What pseudonyms are made with. Generated for a copy, never written down:
/// with it, who knows a name could find its pseudonym.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self::of(*bytes))
    }

    pub fn of(bytes: [u8; 32]) -> Self {
        match Hmac::new_from_slice(&bytes) {
            Ok(hmac) => Self(hmac),
            Err(_) => unreachable!("HMAC takes keys of any length"),
        }
    }

    /// The same for the same value of the same class.
    pub(crate) fn digest(&self, class: &str, attempt: u8, value: &str) -> [u8; 32] {
        let mut hmac = self.0.clone();
        hmac.update(class.as_bytes());
        hmac.update(&[0, attempt]);
        hmac.update(value.as_bytes());
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

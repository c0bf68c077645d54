//! Random secrets, and the hashes that are kept of them.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, Sha512};

use crate::{Control, Error, Result};

/// Without letters and digits that are read for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Rounds of Odoo's own password hashes (passlib's default for pbkdf2_sha512).
const ODOO_ROUNDS: u32 = 25_000;

/// Rounds of PostgreSQL's own.
const SCRAM_ROUNDS: u32 = 4096;

/// `length` random characters of 5 bits each.
pub(crate) fn random(length: usize) -> Result<String> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

/// Enough for secrets that are random themselves.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// As Odoo writes it into `res_users`: passlib's `$pbkdf2-sha512$rounds$salt$checksum`.
pub(crate) async fn odoo_hash(password: &str) -> Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(Error::Random)?;
    let password = password.to_owned();
    apart(move || Ok(passlib(&password, &salt, ODOO_ROUNDS))).await
}

fn passlib(password: &str, salt: &[u8], rounds: u32) -> String {
    let checksum = pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password.as_bytes(), salt, rounds);
    let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes).replace('+', ".");
    format!("$pbkdf2-sha512${rounds}${}${}", text(salt), text(&checksum))
}

/// What PostgreSQL stores of a role's password (SCRAM-SHA-256, RFC 7677).
pub(crate) async fn postgres_verifier(password: &str) -> Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(Error::Random)?;
    let password = password.to_owned();
    apart(move || Ok(scram(&password, &salt))).await
}

fn scram(password: &str, salt: &[u8]) -> String {
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, SCRAM_ROUNDS);
    let keyed = |text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&salted).expect("any key is good for HMAC");
        mac.update(text);
        mac.finalize().into_bytes()
    };
    let (stored, server) = (Sha256::digest(keyed(b"Client Key")), keyed(b"Server Key"));
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!("SCRAM-SHA-256${SCRAM_ROUNDS}:{}${}:{}", text(salt), text(&stored), text(&server))
}

impl Control {
    /// Argon2id with a random salt.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        let _turn = self.inner.hashing.acquire().await;
        apart(move || {
            let hash: PasswordHash =
                Argon2::default().hash_password(password.as_bytes()).map_err(Error::Hash)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether it is the hash's password. Without a hash it takes as long, and is not.
    pub(crate) async fn matches(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
        let _turn = self.inner.hashing.acquire().await;
        apart(move || {
            let hasher = Argon2::default();
            let Some(hash) = hash else {
                let _: PasswordHash = hasher.hash_password(password.as_bytes()).map_err(Error::Hash)?;
                return Ok(false);
            };
            let hash = PasswordHash::new(&hash)
                .map_err(|_| Error::Hash(argon2::password_hash::Error::EncodingInvalid))?;
            Ok(hasher.verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }
}

/// Off the threads that answer requests.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odoo_reads_the_hash() {
        // passlib.hash.pbkdf2_sha512.using(rounds=25000, salt=b"0123456789abcdef").hash("secret")
        let expected = "$pbkdf2-sha512$25000$MDEyMzQ1Njc4OWFiY2RlZg$m28yyWgXn4Qvd2fQ81e1S2A5xmuunG4E1Gf1486hu9kLDwIHy8F3YHrAgxGilxgKS5vWq9EwEkBqsTS2bxygZg";
        assert_eq!(passlib("secret", b"0123456789abcdef", 25_000), expected);
    }

    #[test]
    fn postgresql_reads_the_verifier() {
        // The example of RFC 7677, whose password is "pencil".
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let expected = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(scram("pencil", &salt), expected);
    }

    #[test]
    fn secrets_differ() {
        let one = random(40).unwrap();
        assert_eq!(one.len(), 40);
        assert_ne!(one, random(40).unwrap());
    }
}

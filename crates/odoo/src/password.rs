//! Passwords as Odoo stores them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Sha512;

/// OWASP's figure for PBKDF2 with SHA-512. Odoo 17 and later raise it to
/// their own minimum at the first login.
const ROUNDS: u32 = 210_000;

/// passlib's `pbkdf2_sha512`, which every Odoo from 11 on verifies:
/// `$pbkdf2-sha512$<rounds>$<salt>$<checksum>`, the latter two in passlib's
/// own base 64 (`.` for `+`, no padding). Takes a noticeable part of a second.
pub fn passlib_hash(password: &str) -> String {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).expect("the operating system gives random bytes");
    hash(password, &salt, ROUNDS)
}

fn hash(password: &str, salt: &[u8], rounds: u32) -> String {
    let mut checksum = [0; 64];
    pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, rounds, &mut checksum);
    let ab64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes).replace('+', ".");
    format!("$pbkdf2-sha512${rounds}${}${}", ab64(salt), ab64(&checksum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hash() {
        // passlib.hash.pbkdf2_sha512.using(rounds=10, salt=b'0123456789abcdef').hash('sésame')
        assert_eq!(hash("sésame", b"0123456789abcdef", 10), KNOWN);
    }

    const KNOWN: &str = "$pbkdf2-sha512$10$MDEyMzQ1Njc4OWFiY2RlZg$X5vM9ts0NdYCH0nJUs9ad6S2ArB5y9q.b1d9BMQwGnIX/TiwllFviGJ41c/L9tWKHfGM5V4ITAIo6Zadi5pvng";
}

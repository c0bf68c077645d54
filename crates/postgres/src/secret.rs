//! Passwords of database roles, and what PostgreSQL stores in their place.

/// A SCRAM-SHA-256 verifier with a fresh salt, as `ALTER ROLE … PASSWORD` takes
/// it. The password cannot be told from it, but it still belongs in no log.
pub fn verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

/// 48 hexadecimal digits, 192 bits: it needs no quoting anywhere.
pub fn random_password() -> String {
    let mut bytes = [0; 24];
    fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes. The kernel's generator does not fail once the machine is up.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel's random generator works");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let password = random_password();
        assert_eq!(password.len(), 48);
        assert!(password.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(password, random_password());
    }

    #[test]
    fn verifiers_are_salted() {
        let verifier_of = verifier("secret");
        assert!(verifier_of.starts_with("SCRAM-SHA-256$4096:"), "{verifier_of}");
        assert_ne!(verifier_of, verifier("secret"));
        assert!(!verifier_of.contains("secret"));
    }
}

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name was refused; the text says what a good one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} {name:?} {why}")]
pub struct InvalidName {
    pub what: &'static str,
    pub name: String,
    pub why: String,
}

/// Subdomains that belong to the platform, or that a visitor could mistake
/// for it.
const RESERVED: &[&str] = &[
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "blog",
    "cdn",
    "console",
    "control",
    "dashboard",
    "docs",
    "ftp",
    "heddle",
    "help",
    "imap",
    "internal",
    "localhost",
    "login",
    "mail",
    "metrics",
    "mta-sts",
    "mx",
    "ns1",
    "ns2",
    "ops",
    "pop",
    "postmaster",
    "router",
    "root",
    "smtp",
    "static",
    "status",
    "support",
    "system",
    "webmail",
    "webmaster",
    "worker",
    "www",
];

/// Variables that change how programs are run rather than what they know.
const RESERVED_VARIABLES: &[&str] = &[
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "LANG",
    "LANGUAGE",
    "LOCPATH",
    "LOGNAME",
    "NLSPATH",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
];

/// The same, for all that begin so.
const RESERVED_BEGINNINGS: &[&str] =
    &["GLIBC_", "HEDDLE_", "LC_", "LD_", "MALLOC_", "ODOO_", "OPENERP_", "OPENSSL_", "PG", "PYTHON"];

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident($what:literal, $check:path))*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $check(text)
                    .map(|()| Self(text.to_owned()))
                    .map_err(|why| InvalidName { what: $what, name: text.chars().take(100).collect(), why })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

names! {
    /// A tenant's first hostname label: `^[a-z][a-z0-9-]{2,62}$`, neither
    /// reserved nor ending in a hyphen (which DNS forbids).
    Subdomain("subdomain", subdomain)
    /// The name of a project, environment, tenant or snapshot, as it stands in
    /// commands and addresses: `^[a-z0-9][a-z0-9-]{0,62}$`.
    Slug("name", slug)
    /// A tenant's PostgreSQL database; also the name of its filestore folder.
    /// `^[a-z][a-z0-9_-]{0,62}$`, not one of PostgreSQL's own.
    DatabaseName("database name", database)
    /// What a secret is called, and the variable that a tenant's Odoo finds it
    /// in: `^[A-Z][A-Z0-9_]{0,62}$`, none that means something to the system,
    /// PostgreSQL, Python or Heddle.
    SecretName("secret's name", secret)
}

/// An environment as people name it: `PROJECT/ENVIRONMENT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentPath {
    pub project: Slug,
    pub name: Slug,
}

impl FromStr for EnvironmentPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (project, name) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "environment",
            name: text.chars().take(100).collect(),
            why: "must be written PROJECT/ENVIRONMENT".into(),
        })?;
        Ok(Self { project: project.parse()?, name: name.parse()? })
    }
}

fn label(text: &str, min: usize, extra: fn(char) -> bool) -> bool {
    (min..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || extra(c))
}

fn starts_with_letter(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn subdomain(text: &str) -> Result<(), String> {
    if !label(text, 3, |c| c == '-') || !starts_with_letter(text) || text.ends_with('-') {
        return Err(
            "must be 3 to 63 characters of a-z, 0-9 and -, start with a letter and not end with -".into()
        );
    }
    if RESERVED.contains(&text) {
        return Err("is reserved for the platform; choose another".into());
    }
    Ok(())
}

fn slug(text: &str) -> Result<(), String> {
    if !label(text, 1, |c| c == '-') || text.starts_with('-') {
        return Err("must be 1 to 63 characters of a-z, 0-9 and -, and not start with -".into());
    }
    Ok(())
}

fn database(text: &str) -> Result<(), String> {
    if !label(text, 1, |c| c == '_' || c == '-') || !starts_with_letter(text) {
        return Err("must be 1 to 63 characters of a-z, 0-9, _ and -, and start with a letter".into());
    }
    if matches!(text, "postgres" | "template0" | "template1") {
        return Err("is one of PostgreSQL's own; choose another".into());
    }
    Ok(())
}

fn secret(text: &str) -> Result<(), String> {
    let good = (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if !good {
        return Err("must be 1 to 63 characters of A-Z, 0-9 and _, and start with a letter".into());
    }
    if RESERVED_VARIABLES.contains(&text) || RESERVED_BEGINNINGS.iter().any(|start| text.starts_with(start)) {
        return Err("would change how a tenant's programs run; choose another".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains_follow_the_rule() {
        for good in ["acme", "a-1", "abc", &"a".repeat(63)] {
            good.parse::<Subdomain>().unwrap();
        }
        for bad in ["", "ab", "1abc", "-abc", "abc-", "Abc", "a_b", "a.b", "äbc", &"a".repeat(64)] {
            bad.parse::<Subdomain>().unwrap_err();
        }
    }

    #[test]
    fn reserved_subdomains_say_so() {
        let error = "www".parse::<Subdomain>().unwrap_err();
        assert_eq!(error.to_string(), "the subdomain \"www\" is reserved for the platform; choose another");
    }

    #[test]
    fn secrets_are_not_what_programs_run_by() {
        for good in ["SMTP_PASSWORD", "A", "P8", &"A".repeat(63)] {
            good.parse::<SecretName>().unwrap();
        }
        for bad in ["", "smtp", "8P", "_A", "A-B", "A=B", "Ä", "A\n", &"A".repeat(64)] {
            bad.parse::<SecretName>().unwrap_err();
        }
        for reserved in ["PATH", "LD_PRELOAD", "PYTHONPATH", "PGPASSWORD", "HEDDLE_URL", "ODOO_RC"] {
            let error = reserved.parse::<SecretName>().unwrap_err();
            assert!(error.to_string().contains("choose another"), "{error}");
        }
    }

    #[test]
    fn postgres_databases_are_refused() {
        "postgres".parse::<DatabaseName>().unwrap_err();
        "acme_2".parse::<DatabaseName>().unwrap();
    }
}

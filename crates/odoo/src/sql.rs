//! Statements on a tenant's own database, for others to run: as superuser in
//! single-user mode (one statement a line) or over a connection.

use uuid::Uuid;

/// What tells a new tenant's database from the template it is a copy of.
#[derive(Clone)]
pub struct FreshTenant {
    pub database_uuid: Uuid,
    /// Signs sessions and tokens. ASCII, as Odoo demands.
    pub secret: String,
    /// See [`crate::password::passlib_hash`].
    pub admin_password_hash: String,
    /// `http://acme.example.com`; frozen, so that a visitor's Host header does
    /// not change it.
    pub base_url: String,
}

/// The statements that make a copied template a tenant of its own. Each is one
/// line without a final semicolon, names its schema, and can be run again.
pub fn fresh_tenant_sql(fresh: &FreshTenant) -> Vec<String> {
    let parameter = |key: &str, value: &str| {
        let (key, value) = (literal(key), literal(value));
        format!(
            "INSERT INTO public.ir_config_parameter (key, value, create_uid, create_date, write_uid, write_date) \
             VALUES ({key}, {value}, 1, now() AT TIME ZONE 'UTC', 1, now() AT TIME ZONE 'UTC') \
             ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, write_date = EXCLUDED.write_date"
        )
    };
    let hash = literal(&fresh.admin_password_hash);
    // 12 and later tell OdooBot (user_root) from the administrator (user_admin);
    // before, user_root is the administrator
    let admin = "(SELECT res_id FROM public.ir_model_data WHERE module = 'base' AND model = 'res.users' \
                 AND name IN ('user_admin', 'user_root') ORDER BY name LIMIT 1)";
    // 11 keeps hashes in auth_crypt's column, 12 and later in password itself
    let password = format!(
        "DO $heddle$ BEGIN \
         IF EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = 'public.res_users'::regclass \
         AND attname = 'password_crypt' AND NOT attisdropped) THEN \
         UPDATE public.res_users SET password = '', password_crypt = {hash} WHERE id = {admin}; \
         ELSE UPDATE public.res_users SET password = {hash} WHERE id = {admin}; END IF; \
         IF NOT FOUND THEN RAISE 'this database has no administrator'; END IF; \
         END $heddle$"
    );
    vec![
        parameter("database.uuid", &fresh.database_uuid.to_string()),
        parameter("database.secret", &fresh.secret),
        parameter("web.base.url", &fresh.base_url),
        parameter("web.base.url.freeze", "True"),
        password,
    ]
}

/// The files that the database refers to: one text column, `xx/<sha1>` below
/// `filestore/<database>/`.
pub fn attachments_sql() -> &'static str {
    "SELECT DISTINCT store_fname::text FROM public.ir_attachment WHERE store_fname <> '' ORDER BY 1"
}

/// One row that [`Health::from_counts`] takes: installed modules, modules whose
/// installation, update or removal was left unfinished, active users (bigints).
pub fn health_sql() -> &'static str {
    "SELECT (SELECT count(*) FROM public.ir_module_module WHERE state = 'installed'), \
     (SELECT count(*) FROM public.ir_module_module WHERE state IN ('to install', 'to upgrade', 'to remove')), \
     (SELECT count(*) FROM public.res_users WHERE active)"
}

/// Whether a database looks like an Odoo that can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    pub installed: i64,
    pub unfinished: i64,
    pub users: i64,
}

impl Health {
    pub fn from_counts(installed: i64, unfinished: i64, users: i64) -> Self {
        Self { installed, unfinished, users }
    }

    /// What is wrong, in one sentence.
    pub fn problem(&self) -> Option<String> {
        if self.installed < 1 {
            Some("no module is installed in the database".into())
        } else if self.unfinished > 0 {
            Some(format!("{} modules are half installed, updated or removed", self.unfinished))
        } else if self.users < 1 {
            Some("the database has no active user".into())
        } else {
            None
        }
    }
}

/// An SQL string on one line: no quote ends it, whatever
/// standard_conforming_strings says, and a dollar cannot end a DO block's body.
fn literal(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '\\' | '$') || c == ' ';
    if text.chars().all(plain) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("E'");
    for c in text.chars().filter(|&c| c != '\0') {
        match c {
            c if plain(c) => quoted.push(c),
            c if u32::from(c) <= 0xFFFF => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_single_lines_that_nothing_escapes_from() {
        let fresh = FreshTenant {
            database_uuid: Uuid::nil(),
            secret: "a'; DROP TABLE x; --\n\\".into(),
            admin_password_hash: "$pbkdf2-sha512$1$a.b$c/d $heddle$".into(),
            base_url: "http://acme.localhost:8080".into(),
        };
        let statements = fresh_tenant_sql(&fresh);
        assert!(statements.iter().all(|statement| !statement.contains('\n')));
        assert!(statements[1].contains("E'a\\u0027; DROP TABLE x; --\\u000A\\u005C'"));
        assert_eq!(statements[4].matches("$heddle$").count(), 2);
    }
}

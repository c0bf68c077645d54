//! People with roles in a project, and what they may do on its database: each
//! statement in a transaction that says who acts, as control does it.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::scratch::Scratch;

/// Two projects; in the first, people of each kind, and a production and a
/// staging environment with a tenant each.
pub struct People {
    pub scratch: Scratch,
    pub admin: Client,
}

pub const PROJECT: Uuid = Uuid::from_u128(1);
pub const OTHER_PROJECT: Uuid = Uuid::from_u128(2);
pub const PRODUCTION: Uuid = Uuid::from_u128(11);
pub const STAGING: Uuid = Uuid::from_u128(12);
pub const TENANT: Uuid = Uuid::from_u128(21);
pub const TEST_TENANT: Uuid = Uuid::from_u128(22);

/// The first project's owner, administrators, a developer who may operate
/// production, and a tester; the other project's owner; an operator; nobody's key.
pub const OWNER: Uuid = Uuid::from_u128(101);
pub const ADMIN: Uuid = Uuid::from_u128(102);
pub const SECOND_ADMIN: Uuid = Uuid::from_u128(103);
pub const DEVELOPER: Uuid = Uuid::from_u128(104);
pub const TESTER: Uuid = Uuid::from_u128(105);
pub const STRANGER: Uuid = Uuid::from_u128(106);
pub const OPERATOR: Uuid = Uuid::from_u128(107);

impl People {
    pub async fn new() -> Self {
        let scratch = Scratch::new().await;
        let admin = scratch.admin().await;
        let sql = format!(
            "INSERT INTO ops.projects (id, name) VALUES ('{PROJECT}', 'demo'), ('{OTHER_PROJECT}', 'other');
             INSERT INTO ops.builds (id, project_id, state, odoo, addons, modules, odoo_version)
                 VALUES ('{PROJECT}', '{PROJECT}', 'ready', '/odoo', '{{}}', '{{base}}', '18.0');
             INSERT INTO ops.environments (id, project_id, name, stage, build_id) VALUES
                 ('{PRODUCTION}', '{PROJECT}', 'live', 'production', '{PROJECT}'),
                 ('{STAGING}', '{PROJECT}', 'test', 'staging', '{PROJECT}');
             INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier) VALUES
                 ('{TENANT}', '{PRODUCTION}', 'acme', 'acme', 'acme', 'draft', 'basic'),
                 ('{TEST_TENANT}', '{STAGING}', 'acme-test', 'acme-test', 'acme', 'draft', 'basic');
             INSERT INTO ops.users (id, login, operator) VALUES
                 ('{OWNER}', 'olga', false), ('{ADMIN}', 'ada', false), ('{SECOND_ADMIN}', 'grace', false),
                 ('{DEVELOPER}', 'dev', false), ('{TESTER}', 'tess', false), ('{STRANGER}', 'eve', false),
                 ('{OPERATOR}', 'root', true);
             INSERT INTO ops.project_members (project_id, user_id, role) VALUES
                 ('{PROJECT}', '{OWNER}', 'owner'), ('{PROJECT}', '{ADMIN}', 'admin'),
                 ('{PROJECT}', '{SECOND_ADMIN}', 'admin'), ('{PROJECT}', '{DEVELOPER}', 'developer'),
                 ('{PROJECT}', '{TESTER}', 'tester'), ('{OTHER_PROJECT}', '{STRANGER}', 'owner');
             INSERT INTO ops.env_permissions (environment_id, user_id, permission)
                 VALUES ('{PRODUCTION}', '{DEVELOPER}', 'operate')"
        );
        admin.batch_execute(&sql).await.expect("make people");
        Self { scratch, admin }
    }

    /// A key of somebody's, or of nobody's.
    pub async fn key(&self, id: u128, user: Option<Uuid>, scopes: &str) -> Uuid {
        let id = Uuid::from_u128(id);
        let sql = format!(
            "INSERT INTO ops.api_keys (id, name, prefix, secret_hash, user_id, scopes)
             VALUES ('{id}', 'laptop', '{}', sha256('{id}'), {}, '{{{scopes}}}')",
            &id.simple().to_string()[24..],
            user.map_or("NULL".into(), |user| format!("'{user}'"))
        );
        self.admin.batch_execute(&sql).await.expect("make a key");
        id
    }

    pub async fn acting(&self, user: Uuid) -> Acting {
        self.claiming(&format!("set_config('heddle.user', '{user}', true)"), true).await
    }

    pub async fn with_key(&self, key: Uuid) -> Acting {
        self.claiming(&format!("set_config('heddle.key', '{key}', true)"), true).await
    }

    /// Control on its own account.
    pub async fn platform(&self) -> Acting {
        self.claiming("set_config('heddle.via', 'platform', true)", false).await
    }

    async fn claiming(&self, claims: &str, user: bool) -> Acting {
        let client = self.scratch.control().await;
        if user {
            client.batch_execute("SET ROLE heddle_user").await.expect("turn into a user");
        }
        Acting { client, claims: claims.to_owned() }
    }

    /// One value, read by a superuser.
    pub async fn read<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.admin.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }
}

/// A connection on which somebody acts.
pub struct Acting {
    client: Client,
    claims: String,
}

impl Acting {
    /// The first column of each row, as text.
    pub async fn ask(&self, sql: &str) -> Result<Vec<Option<String>>, Error> {
        self.client.batch_execute(&format!("BEGIN; SELECT {}", self.claims)).await?;
        let rows = self.client.simple_query(sql).await;
        self.client.batch_execute(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        let rows = rows?.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The only value.
    #[track_caller]
    pub fn one(&self, sql: &str) -> impl Future<Output = String> {
        let at = std::panic::Location::caller();
        async move {
            let rows = self.ask(sql).await.unwrap_or_else(|error| panic!("{at}: {sql}: {error:?}"));
            assert_eq!(rows.len(), 1, "{at}: {sql}");
            rows[0].clone().unwrap_or_default()
        }
    }

    /// Refused with this SQLSTATE; the message.
    #[track_caller]
    pub fn refused(&self, code: &str, sql: &str) -> impl Future<Output = String> {
        let at = std::panic::Location::caller();
        async move {
            let error = self.ask(sql).await.err().unwrap_or_else(|| panic!("{at}: {sql} was carried out"));
            let error = error.as_db_error().unwrap_or_else(|| panic!("{at}: {sql}: {error:?}"));
            assert_eq!(error.code().code(), code, "{at}: {sql}: {error:?}");
            error.message().to_owned()
        }
    }
}

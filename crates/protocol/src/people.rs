//! Of the public API: who may do what.

use jiff::Timestamp;
use model::access::{Permission, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::schema::{one_of, scopes};

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    pub login: String,
    #[schema(schema_with = one_of::<Role>)]
    pub role: Role,
    /// What they may do in single environments beyond their role.
    pub granted: Vec<Grant>,
    /// They cannot sign in any more.
    pub disabled: bool,
    /// Grows with each change.
    pub version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The environment's name within the project.
    pub environment: String,
    #[schema(schema_with = one_of::<Permission>)]
    pub permission: Permission,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMember {
    /// owner, admin, developer, tester or viewer.
    #[schema(schema_with = one_of::<Role>)]
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub login: String,
    /// Runs the installation: every project, the workers, the users.
    pub operator: bool,
    /// Since when they may not do anything.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// An e-mail address is good.
    #[schema(pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")]
    pub login: String,
    #[serde(default)]
    pub operator: bool,
}

/// Good for one sign-in within 24 hours, at which another is chosen. In this
/// answer and in no other.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OneTimePassword {
    pub login: String,
    pub one_time_password: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOperator {
    pub operator: bool,
}

/// A key as it is shown; the key itself is told once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    pub id: Uuid,
    pub name: String,
    /// How the key starts, to tell keys apart: `hk_` and 8 characters.
    pub prefix: String,
    /// Whose it is; none: the installation's own.
    pub login: Option<String>,
    /// The one project in which it is good, if it is good in one only.
    pub project: Option<String>,
    /// What it may do, as far as its user may.
    #[schema(schema_with = scopes)]
    pub scopes: Vec<Permission>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// To within some seconds.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100, example = "nightly builds")]
    pub name: String,
    /// Good in this project only.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub project: Option<String>,
    /// Default: all that its maker has.
    #[serde(default)]
    #[schema(schema_with = scopes)]
    pub scopes: Vec<Permission>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedApiKey {
    pub api_key: ApiKey,
    /// The key itself, in this answer and in no other.
    pub key: String,
}

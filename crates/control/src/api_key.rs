use jiff::Timestamp;
use model::ApiKeyId;
use subtle::ConstantTimeEq;

use crate::{Control, Error, Kind, Refusal, Requester, Result, secret};

#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// `hk_<prefix>`, to tell keys apart.
    pub prefix: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// A key just made, with what is shown only this once.
#[derive(Clone)]
pub struct CreatedApiKey {
    pub api_key: ApiKey,
    /// `hk_<prefix>_<secret>`
    pub key: String,
}

impl Control {
    pub async fn create_api_key(&self, name: &str) -> Result<CreatedApiKey> {
        if name.is_empty() || name.chars().count() > 100 {
            return Err(Refusal::invalid("the name of a key must have 1 to 100 characters").into());
        }
        let (prefix, secret) = (secret::random(8)?, secret::random(40)?);
        let database = self.database().await?;
        let id = ApiKeyId::new();
        database::api_key::insert(&database, id, name, &prefix, &secret::digest(&secret)).await?;
        let api_key = get(&database, id).await?;
        Ok(CreatedApiKey { api_key, key: format!("hk_{prefix}_{secret}") })
    }

    /// Newest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        let keys = database::api_key::list(&self.database().await?).await?;
        Ok(keys.into_iter().map(shown).collect())
    }

    pub async fn revoke_api_key(&self, key: ApiKeyId) -> Result<ApiKey> {
        let database = self.database().await?;
        database::api_key::revoke(&database, key).await?;
        get(&database, key).await
    }

    /// Whose a bearer key is; refused with `unauthenticated` otherwise.
    pub async fn verify_api_key(&self, key: &str) -> Result<Requester> {
        let refused = || Error::from(Refusal::new(Kind::Unauthenticated, "the API key is not valid"));
        let (prefix, secret) =
            key.strip_prefix("hk_").and_then(|key| key.split_once('_')).ok_or_else(refused)?;
        let database = self.database().await?;
        let found = database::api_key::find(&database, prefix).await?.ok_or_else(refused)?;
        if !bool::from(found.secret_hash.ct_eq(&secret::digest(secret))) {
            return Err(refused());
        }
        if let Some(at) = found.revoked_at {
            return Err(
                Refusal::new(Kind::Unauthenticated, format!("the API key was revoked at {at}")).into()
            );
        }
        database::api_key::used(&database, found.id).await?;
        Ok(Requester::ApiKey(found.id))
    }
}

async fn get(on: &impl database::On, id: ApiKeyId) -> Result<ApiKey> {
    database::api_key::get(on, id).await?.map(shown).ok_or_else(|| Refusal::not_found("API key", id).into())
}

fn shown(key: database::api_key::ApiKey) -> ApiKey {
    ApiKey {
        id: key.id,
        name: key.name,
        prefix: format!("hk_{}", key.prefix),
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}

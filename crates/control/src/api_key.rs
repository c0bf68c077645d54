use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::On;
use database::api_key::Presented;
use jiff::Timestamp;
use model::access::Permission;
use model::{ApiKeyId, UserId};
use protocol::api::Page;
use protocol::people::{ApiKey, CreatedApiKey, NewApiKey};
use subtle::ConstantTimeEq;

use crate::{Control, Error, Kind, Principal, Refusal, Result, Slice, permit, secret};

/// A key that was verified is taken for so long without another look. What it
/// may do is looked at with each query all the same.
const TAKEN_FOR: Duration = Duration::from_secs(3);

/// More keys than this at the same time are looked up each time.
const REMEMBERED: usize = 10_000;

/// Keys that were verified a moment ago, by their digest, and when keys were
/// last used, until that is written.
#[derive(Default)]
pub(crate) struct Keyring {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    verified: HashMap<[u8; 32], Verified>,
    used: HashMap<ApiKeyId, Timestamp>,
    /// Grows when something is forgotten: what was looked up before is not
    /// remembered after.
    forgotten: u64,
}

struct Verified {
    principal: Principal,
    key: ApiKeyId,
    until: Instant,
}

impl Keyring {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Each change is whole in itself, so a panic elsewhere leaves it sound.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn known(&self, digest: &[u8; 32]) -> (Option<Principal>, u64) {
        self.with(|state| {
            let known = state.verified.get(digest).filter(|known| known.until > Instant::now());
            let principal = known.map(|known| (known.key, known.principal.clone()));
            if let Some((key, _)) = &principal {
                state.used.insert(*key, Timestamp::now());
            }
            (principal.map(|(_, principal)| principal), state.forgotten)
        })
    }

    fn remember(&self, digest: [u8; 32], found: &Presented, principal: &Principal, looked: u64) {
        let left = found.expires_at.map(|at| Duration::try_from(Timestamp::now().duration_until(at)));
        let until = Instant::now() + left.and_then(Result::ok).unwrap_or(TAKEN_FOR).min(TAKEN_FOR);
        self.with(|state| {
            state.used.insert(found.id, Timestamp::now());
            if state.verified.len() >= REMEMBERED {
                state.verified.retain(|_, known| known.until > Instant::now());
            }
            if state.forgotten == looked && state.verified.len() < REMEMBERED {
                let known = Verified { principal: principal.clone(), key: found.id, until };
                state.verified.insert(digest, known);
            }
        });
    }

    fn forget(&self, which: impl Fn(&Verified) -> bool) {
        self.with(|state| {
            state.forgotten += 1;
            state.verified.retain(|_, known| !which(known));
        });
    }

    pub fn forget_user(&self, user: UserId) {
        self.forget(|known| known.principal.user == Some(user));
    }
}

impl Control {
    /// A key that may do everything its maker may; made by control itself it is the
    /// installation's own.
    pub async fn create_api_key(&self, name: &str) -> Result<CreatedApiKey> {
        self.create_key(NewApiKey { name: name.to_owned(), ..NewApiKey::default() }).await
    }

    /// A key of whoever asks for it, that reaches no further than they do: by
    /// a key, no further than that key.
    pub async fn create_key(&self, new: NewApiKey) -> Result<CreatedApiKey> {
        check_name(&new.name)?;
        if let Some(at) = new.expires_at.filter(|at| *at <= Timestamp::now()) {
            return Err(Refusal::invalid(format!("the expiry {at} is not in the future")).into());
        }
        let database = self.database().await?;
        let project = match &new.project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        if new.scopes.len() > 2 * Permission::ALL.len() {
            return Err(Refusal::invalid("a key has at most 12 scopes").into());
        }
        let scopes = self.scopes(&database, new.scopes).await?;
        let (prefix, secret) = (secret::random(8)?, secret::random(40)?);
        let insert = database::api_key::NewApiKey {
            id: ApiKeyId::new(),
            name: &new.name,
            prefix: &prefix,
            secret_hash: &secret::digest(&secret),
            user: database.claims().user,
            project,
            scopes: &scopes,
            expires_at: new.expires_at,
        };
        match database::api_key::insert(&database, &insert).await {
            Err(error) if error.forbidden().is_some() => {
                permit::refused(&database, "make a key that reaches further than its maker", None).await;
                let detail = "the key would reach further than the key that asks for it";
                let hint = "ask for fewer scopes, for the same project and for no later expiry, or ask with a session";
                return Err(Refusal::new(Kind::Forbidden, detail).hint(hint).into());
            }
            inserted => inserted?,
        }
        let api_key = get(&database, insert.id).await?;
        Ok(CreatedApiKey { api_key, key: format!("hk_{prefix}_{secret}") })
    }

    /// What a new key may do. Whatever it may do, it sees what it does it with.
    async fn scopes(&self, on: &impl On, mut wanted: Vec<Permission>) -> Result<Vec<Permission>> {
        if wanted.is_empty() {
            wanted = match on.claims().key {
                Some(key) => get(on, key).await?.scopes,
                None => Permission::ALL.to_vec(),
            };
        }
        wanted.push(Permission::Read);
        wanted.sort();
        wanted.dedup();
        Ok(wanted)
    }

    /// Those that whoever asks may see, newest first: their own, an operator's
    /// all, and of the projects that they administer those that are bound to them.
    pub async fn api_keys(&self, project: Option<&str>, slice: &Slice<ApiKeyId>) -> Result<Page<ApiKey>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let keys = database::api_key::list(&database, project, slice.after, slice.rows()).await?;
        let keys: Vec<ApiKey> = keys.into_iter().map(shown).collect();
        Ok(slice.page(keys, |key| key.id.to_string()))
    }

    pub async fn api_key(&self, key: ApiKeyId) -> Result<ApiKey> {
        get(&self.database().await?, key).await
    }

    /// For good, from the next request on.
    pub async fn revoke_api_key(&self, key: ApiKeyId) -> Result<ApiKey> {
        let database = self.database().await?;
        database::api_key::revoke(&database, key).await?;
        self.inner.keyring.forget(|known| known.key == key);
        get(&database, key).await
    }

    /// Whose a bearer key is; refused with `unauthenticated` otherwise.
    pub async fn verify_api_key(&self, key: &str) -> Result<Principal> {
        let keyring = &self.inner.keyring;
        let digest = secret::digest(key);
        let (known, looked) = keyring.known(&digest);
        if let Some(principal) = known {
            return Ok(principal);
        }
        let refused = || refused("the API key is not valid");
        let (prefix, secret) =
            key.strip_prefix("hk_").and_then(|key| key.split_once('_')).ok_or_else(refused)?;
        let found = database::api_key::find(&self.database().await?, prefix).await?.ok_or_else(refused)?;
        if !bool::from(found.secret_hash.ct_eq(&secret::digest(secret))) {
            return Err(refused());
        }
        check(&found)?;
        let principal = Principal::api_key(found.id, found.user);
        keyring.remember(digest, &found, &principal, looked);
        Ok(principal)
    }

    /// Writes when keys were last used, of all that were used since; how many.
    pub(crate) async fn note_used_keys(&self) -> Result<u64> {
        let used = self.inner.keyring.with(|state| std::mem::take(&mut state.used));
        if used.is_empty() {
            return Ok(0);
        }
        let used: Vec<_> = used.into_iter().collect();
        Ok(database::api_key::used(&self.database().await?, &used).await?)
    }
}

fn refused(why: impl Into<String>) -> Error {
    Refusal::new(Kind::Unauthenticated, why).hint("`heddle key create` makes a new one").into()
}

fn check(found: &Presented) -> Result<()> {
    if let Some(at) = found.revoked_at {
        return Err(refused(format!("the API key was revoked at {at}")));
    }
    if let Some(at) = found.expires_at.filter(|at| *at <= Timestamp::now()) {
        return Err(refused(format!("the API key expired at {at}")));
    }
    if found.disabled_at.is_some() {
        return Err(refused("the API key's user is disabled"));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.chars().count() > 100 || name.contains('\0') {
        return Err(Refusal::invalid("the name of a key must have 1 to 100 characters"));
    }
    Ok(())
}

async fn get(on: &impl On, id: ApiKeyId) -> Result<ApiKey> {
    let found = database::api_key::get(on, id).await?.map(shown);
    found.ok_or_else(|| Refusal::not_found("API key", id).hint("`heddle key list` shows them").into())
}

fn shown(key: database::api_key::ApiKey) -> ApiKey {
    ApiKey {
        id: key.id.0,
        name: key.name,
        prefix: format!("hk_{}", key.prefix),
        login: key.login,
        project: key.project,
        scopes: key.scopes,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}

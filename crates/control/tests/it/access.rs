//! Keys, passwords and sessions.

use std::time::Duration;

use control::{Kind, Requester, Settings, Slice};
use model::ApiKeyId;

use crate::platform::{Platform, refused};

#[tokio::test]
async fn keys_are_verified_and_revoked() {
    let platform = Platform::new().await;
    let control = &platform.control;
    let created = control.create_api_key("laptop").await.unwrap();
    assert!(created.key.starts_with(&created.api_key.prefix));
    let principal = control.verify_api_key(&created.key).await.unwrap();
    assert_eq!(principal.requester, Requester::ApiKey(ApiKeyId(created.api_key.id)));
    control::reconcile::api_key::tick(control).await.unwrap();
    assert!(control.api_keys(None, &Slice::default()).await.unwrap().items[0].last_used_at.is_some());
    let mut other = created.key.clone();
    let last = if other.pop() == Some('a') { 'b' } else { 'a' };
    other.push(last);
    for bad in ["", "hk_", "hk_a_b", "Bearer", &other, &created.key[..20]] {
        refused(control.verify_api_key(bad).await, Kind::Unauthenticated);
    }
    let row = "SELECT count(*) FROM ops.api_keys WHERE length(secret_hash) = 32";
    let kept: i64 = platform.scratch.admin().await.query_one(row, &[]).await.unwrap().get(0);
    assert_eq!(kept, 1);
    control.revoke_api_key(ApiKeyId(created.api_key.id)).await.unwrap();
    let refusal = refused(control.verify_api_key(&created.key).await, Kind::Unauthenticated);
    assert!(refusal.detail.contains("revoked"), "{refusal}");
}

#[tokio::test]
async fn a_one_time_password_is_good_for_one_sign_in() {
    let platform = Platform::new().await;
    let control = &platform.control;
    let first = control.bootstrap_admin().await.unwrap().unwrap();
    let password = control.bootstrap_admin().await.unwrap().unwrap();
    refused(control.sign_in("admin", &first, "::1").await, Kind::Unauthenticated);
    let signed_in = control.sign_in(" Admin ", &password, "::1").await.unwrap();
    assert!(signed_in.session.must_set_password);
    refused(control.sign_in("admin", &password, "::1").await, Kind::Unauthenticated);
    let refusal = refused(control.set_password(&signed_in.token, "short").await, Kind::Invalid);
    assert!(refusal.hint.unwrap().contains("12 characters"));
    let session = control.set_password(&signed_in.token, "correct horse battery").await.unwrap();
    assert!(!session.must_set_password);
    assert!(!control.session(&signed_in.token).await.unwrap().must_set_password);
    assert_eq!(control.bootstrap_admin().await.unwrap(), None);
    let again = control.sign_in("admin", "correct horse battery", "::1").await.unwrap();
    assert!(!again.session.must_set_password);
    assert_ne!(again.session.csrf, signed_in.session.csrf);
    control.sign_out(&again.token).await.unwrap();
    refused(control.session(&again.token).await, Kind::Unauthenticated);
    // A reset ends what is left.
    let reset = control.reset_password("admin").await.unwrap();
    refused(control.session(&signed_in.token).await, Kind::Unauthenticated);
    assert!(control.sign_in("admin", &reset, "::1").await.unwrap().session.must_set_password);
}

#[tokio::test]
async fn an_old_one_time_password_is_refused() {
    let platform = Platform::new().await;
    let password = platform.control.bootstrap_admin().await.unwrap().unwrap();
    platform.sql("UPDATE ops.users SET one_time_expires_at = now() - interval '1 second'").await;
    refused(platform.control.sign_in("admin", &password, "::1").await, Kind::Unauthenticated);
}

#[tokio::test]
async fn wrong_passwords_lock_out_at_their_address() {
    let platform = Platform::new().await;
    let control = &platform.control;
    let password = control.bootstrap_admin().await.unwrap().unwrap();
    for _ in 0..4 {
        refused(control.sign_in("admin", "wrong", "10.0.0.1").await, Kind::Unauthenticated);
    }
    let refusal = refused(control.sign_in("admin", "wrong", "10.0.0.1").await, Kind::TooMany);
    assert!(refusal.hint.unwrap().contains("seconds"));
    // Not even with the right one.
    refused(control.sign_in("admin", &password, "10.0.0.1").await, Kind::TooMany);
    // From elsewhere the user is not locked out.
    control.sign_in("admin", &password, "10.0.0.2").await.unwrap();
    // Whether a login exists cannot be told from the answers.
    for _ in 0..4 {
        refused(control.sign_in("nobody", "wrong", "10.0.0.1").await, Kind::Unauthenticated);
    }
    refused(control.sign_in("nobody", "wrong", "10.0.0.1").await, Kind::TooMany);
}

#[tokio::test]
async fn an_idle_session_ends() {
    let settings = Settings { session_idle: Duration::from_millis(200), ..Settings::default() };
    let platform = Platform::with(settings).await;
    let control = &platform.control;
    let password = control.bootstrap_admin().await.unwrap().unwrap();
    let signed_in = control.sign_in("admin", &password, "::1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    refused(control.session(&signed_in.token).await, Kind::Unauthenticated);
    let outcome = control::reconcile::session::tick(control).await.unwrap();
    assert_eq!(outcome.sessions, 1);
}

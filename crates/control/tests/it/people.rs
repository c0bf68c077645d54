//! People, and what the database lets each of them do.

use control::{Control, Kind, Principal, Slice};
use model::access::Role;
use model::{ProjectId, UserId};
use protocol::api::{NewProject, NewSnapshot};
use uuid::Uuid;

use crate::platform::{Platform, asked, new_build, new_tenant, refused};

/// A member of the project `demo`, or of nothing, by SQL.
async fn somebody(platform: &Platform, login: &str, role: Option<Role>) -> Control {
    let user = UserId(Uuid::now_v7());
    platform.sql(&format!("INSERT INTO ops.users (id, login) VALUES ('{user}', '{login}')")).await;
    if let Some(role) = role {
        let sql = format!(
            "INSERT INTO ops.project_members (project_id, user_id, role)
             SELECT id, '{user}', '{role}' FROM ops.projects WHERE name = 'demo'"
        );
        platform.sql(&sql).await;
    }
    platform.control.acting_as(&Principal::user(user))
}

#[tokio::test]
async fn members_see_their_project_and_nobody_else_does() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let viewer = somebody(&platform, "vera", Some(Role::Viewer)).await;
    let stranger = somebody(&platform, "otto", None).await;
    assert_eq!(viewer.projects(&Slice::default()).await.unwrap().items.len(), 1);
    assert_eq!(viewer.tenant("acme").await.unwrap().environment, "demo/live");
    assert!(!viewer.runs(&control::RunFilter::default()).await.unwrap().items.is_empty());
    assert!(stranger.projects(&Slice::default()).await.unwrap().items.is_empty());
    assert!(stranger.runs(&control::RunFilter::default()).await.unwrap().items.is_empty());
    // As if it were not there.
    let there = refused(stranger.tenant("acme").await, Kind::NotFound);
    let not_there = refused(stranger.tenant("acmf").await, Kind::NotFound);
    assert_eq!(there.detail.replace("acme", "acmf"), not_there.detail);
}

#[tokio::test]
async fn what_is_not_allowed_says_what_is_missing_and_who_gives_it() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let viewer = somebody(&platform, "vera", Some(Role::Viewer)).await;
    let developer = somebody(&platform, "dora", Some(Role::Developer)).await;
    let admin = somebody(&platform, "ada", Some(Role::Admin)).await;

    let refusal = refused(viewer.create_build(&asked(), new_build()).await, Kind::Forbidden);
    assert!(refusal.detail.contains("`develop` in demo"), "{refusal}");
    assert!(refusal.hint.unwrap().contains("owner, admin and developer"));
    developer.create_build(&asked(), new_build()).await.unwrap();
    // `live` is production: that takes more.
    for refusal in [
        refused(developer.create_tenant(&asked(), new_tenant("other")).await, Kind::Forbidden),
        refused(developer.suspend_tenant("acme").await, Kind::Forbidden),
        refused(developer.archive_tenant("acme", "acme").await, Kind::Forbidden),
        refused(
            developer
                .create_snapshot(&asked(), "acme", NewSnapshot { name: None, kind: None, expires_at: None })
                .await,
            Kind::Forbidden,
        ),
    ] {
        assert!(refusal.detail.contains("`operate` in demo/live"), "{refusal}");
    }
    admin.create_tenant(&asked(), new_tenant("other")).await.unwrap();
    admin.suspend_tenant("acme").await.unwrap();
    admin.resume_tenant("acme").await.unwrap();
    let new = NewProject { name: "second".into() };
    let refusal = refused(admin.create_project(&asked(), new).await, Kind::Forbidden);
    assert!(refusal.detail.contains("operator"), "{refusal}");
}

#[tokio::test]
async fn a_grant_for_one_environment_goes_beyond_the_role() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let tester = somebody(&platform, "tess", Some(Role::Tester)).await;
    refused(tester.suspend_tenant("acme").await, Kind::Forbidden);
    platform
        .sql(
            "INSERT INTO ops.env_permissions (environment_id, user_id, permission)
             SELECT e.id, u.id, 'operate' FROM ops.environments e, ops.users u WHERE u.login = 'tess'",
        )
        .await;
    tester.suspend_tenant("acme").await.unwrap();
    platform.sql("UPDATE ops.users SET disabled_at = now() WHERE login = 'tess'").await;
    refused(tester.resume_tenant("acme").await, Kind::NotFound);
}

#[tokio::test]
async fn who_makes_a_project_owns_it() {
    let platform = Platform::new().await;
    let operator = somebody(&platform, "olga", None).await;
    platform.sql("UPDATE ops.users SET operator = true WHERE login = 'olga'").await;
    let project = operator.create_project(&asked(), NewProject { name: "demo".into() }).await.unwrap();
    let sql = "SELECT project_id, role FROM ops.project_members";
    let row = platform.scratch.admin().await.query_one(sql, &[]).await.unwrap();
    assert_eq!(ProjectId(row.get(0)).0, project.id);
    assert_eq!(row.get::<_, &str>(1), "owner");
}

/// Many at once over the same connections: nobody's claims are another's.
#[tokio::test]
async fn nobody_acts_as_another() {
    let platform = Platform::new().await;
    platform.environment().await;
    let viewer = somebody(&platform, "vera", Some(Role::Viewer)).await;
    let stranger = somebody(&platform, "otto", None).await;
    let mut looks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (who, expected) = if n % 2 == 0 { (viewer.clone(), 1) } else { (stranger.clone(), 0) };
        looks.spawn(async move { (who.projects(&Slice::default()).await.unwrap().items.len(), expected) });
    }
    while let Some(looked) = looks.join_next().await {
        let (found, expected) = looked.unwrap();
        assert_eq!(found, expected);
    }
}

/// A worker's word counts for what it holds.
#[tokio::test]
async fn a_worker_reports_of_what_it_holds_and_nothing_else() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let other = crate::platform::register(&platform.control, "elsewhere").await;
    let here = platform.control.as_worker(platform.worker);
    let elsewhere = platform.control.as_worker(other);
    assert_eq!(here.assignments(platform.worker).await.unwrap().tenants.len(), 1);
    assert!(elsewhere.assignments(other).await.unwrap().tenants.is_empty());
    // Nor does one speak for another.
    refused(elsewhere.assignments(platform.worker).await, Kind::NotFound);
    let seen = protocol::internal::Observed {
        tenants: vec![protocol::internal::ObservedTenant {
            tenant: served.id,
            serving: model::tenant::Serving::Serving,
            http: Some("127.0.0.1:1".into()),
            gevent: None,
            router_key: None,
            cell_port: None,
        }],
        disks: Vec::new(),
        wal: Vec::new(),
    };
    elsewhere.observed(other, seen.clone()).await.unwrap();
    let count = "SELECT count(*) FROM ops.tenant_observations";
    let admin = platform.scratch.admin().await;
    assert_eq!(admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    here.observed(platform.worker, seen).await.unwrap();
    assert_eq!(admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
}

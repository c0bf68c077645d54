//! People, and what the database lets each of them do.

use control::{Kind, Principal, Slice};
use jiff::Timestamp;
use model::access::{Permission, Role};
use model::{ApiKeyId, ProjectId, UserId};
use protocol::api::{NewProject, NewRuns, NewSnapshot};
use protocol::people::{NewApiKey, NewUser, SetMember};
use uuid::Uuid;

use crate::platform::{Platform, asked, new_build, new_tenant, refused, somebody};

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

    // Nor when control knows the project from somebody else's request.
    let of = |runs: &str, project: &str| -> NewRuns {
        serde_json::from_str(&format!(r#"{{"runs": {}}}"#, runs.replace("PROJECT", project))).unwrap()
    };
    let whole = r#"[{"project": "PROJECT", "kind": "probe"}]"#;
    let within = r#"[{"project": "PROJECT", "kind": "probe", "environment": "live"}]"#;
    let both = r#"[{"project": "PROJECT", "kind": "probe"},
                   {"project": "PROJECT", "kind": "probe", "environment": "live"}]"#;
    let wrong = r#"[{"project": "PROJECT", "kind": "probe"}, {"project": "PROJECT", "kind": "restore"}]"#;
    platform.control.queue_runs(&asked(), of(whole, "demo")).await.unwrap();
    refused(viewer.queue_runs(&asked(), of(whole, "demo")).await, Kind::Forbidden);
    for (runs, kind) in
        [(whole, Kind::NotFound), (within, Kind::NotFound), (both, Kind::NotFound), (wrong, Kind::Invalid)]
    {
        let there = refused(stranger.queue_runs(&asked(), of(runs, "demo")).await, kind);
        let not_there = refused(stranger.queue_runs(&asked(), of(runs, "demi")).await, kind);
        assert_eq!(there.detail.replace("demo", "demi"), not_there.detail, "{runs}");
    }
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
                .create_snapshot(
                    &asked(),
                    "acme",
                    NewSnapshot { name: None, kind: None, expires_at: None, ..Default::default() },
                )
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

fn role(role: Role) -> SetMember {
    SetMember { role }
}

#[tokio::test]
async fn only_owners_make_owners_and_the_last_one_stays() {
    let platform = Platform::new().await;
    platform.environment().await;
    let owner = somebody(&platform, "olga", Some(Role::Owner)).await;
    let admin = somebody(&platform, "ada", Some(Role::Admin)).await;
    let viewer = somebody(&platform, "vera", Some(Role::Viewer)).await;
    somebody(&platform, "nina", None).await;

    refused(viewer.set_member("demo", "nina", role(Role::Viewer), None).await, Kind::Forbidden);
    let nina = admin.set_member("demo", "nina", role(Role::Viewer), None).await.unwrap();
    assert_eq!((nina.role, nina.version), (Role::Viewer, 1));
    let refusal = refused(admin.set_member("demo", "nina", role(Role::Owner), None).await, Kind::Forbidden);
    assert!(refusal.detail.contains("`own` in demo"), "{refusal}");
    refused(admin.set_member("demo", "olga", role(Role::Viewer), None).await, Kind::Forbidden);
    refused(admin.remove_member("demo", "olga", None).await, Kind::Forbidden);
    // Nor past control: the policies themselves refuse it.
    let row = "UPDATE ops.project_members SET role = 'owner' WHERE user_id = (SELECT id FROM ops.users WHERE login = 'nina')";
    let url = format!("{} options='-c role=heddle_user'", platform.scratch.url());
    let client = crate::scratch::connect(&url).await;
    let ada: Uuid = platform
        .scratch
        .admin()
        .await
        .query_one("SELECT id FROM ops.users WHERE login = 'ada'", &[])
        .await
        .unwrap()
        .get(0);
    let claims = format!("BEGIN; SELECT set_config('heddle.user', '{ada}', true)");
    client.batch_execute(&claims).await.unwrap();
    let error = client.batch_execute(row).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{error:?}");

    let refusal = refused(owner.remove_member("demo", "olga", None).await, Kind::WrongState);
    assert!(refusal.detail.contains("without an owner"), "{refusal}");
    refused(owner.set_member("demo", "olga", role(Role::Admin), None).await, Kind::WrongState);
    owner.set_member("demo", "nina", role(Role::Owner), None).await.unwrap();
    // Two owners who leave at once: one stays.
    let nina = platform.control.acting_as(&Principal::user(user_id(&platform, "nina").await));
    let (one, two) = tokio::join!(
        owner.set_member("demo", "olga", role(Role::Viewer), None),
        nina.set_member("demo", "nina", role(Role::Viewer), None),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let owners = platform.control.members("demo", &Slice::default()).await.unwrap().items;
    assert_eq!(owners.iter().filter(|member| member.role == Role::Owner).count(), 1);
}

async fn user_id(platform: &Platform, login: &str) -> UserId {
    let sql = "SELECT id FROM ops.users WHERE login = $1";
    UserId(platform.scratch.admin().await.query_one(sql, &[&login]).await.unwrap().get(0))
}

#[tokio::test]
async fn of_two_who_edit_a_member_the_second_is_told() {
    let platform = Platform::new().await;
    platform.environment().await;
    let owner = somebody(&platform, "olga", Some(Role::Owner)).await;
    somebody(&platform, "nina", None).await;
    refused(owner.set_member("demo", "nobody", role(Role::Viewer), None).await, Kind::NotFound);
    refused(owner.set_member("demo", "nina", role(Role::Viewer), Some(1)).await, Kind::NotFound);
    let first = owner.set_member("demo", "nina", role(Role::Viewer), None).await.unwrap();
    let second = owner.set_member("demo", "nina", role(Role::Tester), Some(first.version)).await.unwrap();
    assert_eq!(second.version, first.version + 1);
    let late = owner.set_member("demo", "nina", role(Role::Admin), Some(first.version)).await;
    refused(late, Kind::Changed);
    refused(owner.remove_member("demo", "nina", Some(first.version)).await, Kind::Changed);
    let granted = owner.set_grant("demo/live", "nina", Permission::Operate, true).await.unwrap();
    assert_eq!(
        (&*granted.granted[0].environment, granted.granted[0].permission),
        ("live", Permission::Operate)
    );
    refused(owner.set_grant("demo/live", "nina", Permission::Own, true).await, Kind::Invalid);
    owner.remove_member("demo", "nina", Some(second.version)).await.unwrap();
    refused(owner.member("demo", "nina").await, Kind::NotFound);
    // What was granted went with the membership.
    let again = owner.set_member("demo", "nina", role(Role::Viewer), None).await.unwrap();
    assert!(again.granted.is_empty());
}

#[tokio::test]
async fn a_key_reaches_no_further_than_what_makes_it() {
    let platform = Platform::new().await;
    platform.environment().await;
    let person = somebody(&platform, "dora", Some(Role::Developer)).await;
    let soon = Timestamp::now() + std::time::Duration::from_secs(3600);
    let new = |name: &str, scopes: &[Permission]| NewApiKey {
        name: name.into(),
        scopes: scopes.to_vec(),
        ..NewApiKey::default()
    };
    let wide = person.create_key(new("wide", &[])).await.unwrap();
    assert_eq!(wide.api_key.scopes, Permission::ALL);
    assert_eq!(wide.api_key.login.as_deref(), Some("dora"));
    let narrow = NewApiKey {
        project: Some("demo".into()),
        expires_at: Some(soon),
        ..new("narrow", &[Permission::Test])
    };
    let narrow = person.create_key(narrow).await.unwrap();
    assert_eq!(narrow.api_key.scopes, [Permission::Read, Permission::Test]);

    let acting = async |key: &str| {
        let principal = platform.control.verify_api_key(key).await.unwrap();
        platform.control.acting_as(&principal)
    };
    // All scopes of a developer's key are still a developer's.
    let wide_key = acting(&wide.key).await;
    wide_key.create_build(&asked(), new_build()).await.unwrap();
    refused(wide_key.create_tenant(&asked(), new_tenant("acme")).await, Kind::Forbidden);
    refused(wide_key.set_member("demo", "dora", role(Role::Admin), None).await, Kind::Forbidden);
    let narrow_key = acting(&narrow.key).await;
    let refusal = refused(narrow_key.create_build(&asked(), new_build()).await, Kind::Forbidden);
    assert!(refusal.hint.unwrap().contains("scope develop"));
    // A key makes none that is wider than itself.
    let within = NewApiKey { project: Some("demo".into()), expires_at: Some(soon), ..new("within", &[]) };
    narrow_key.create_key(within.clone()).await.unwrap();
    for wider in [
        NewApiKey { project: None, ..within.clone() },
        NewApiKey { expires_at: None, ..within.clone() },
        NewApiKey { scopes: vec![Permission::Develop], ..within.clone() },
    ] {
        let refusal = refused(narrow_key.create_key(wider).await, Kind::Forbidden);
        assert!(refusal.detail.contains("further"), "{refusal}");
    }
    refused(
        person.create_key(NewApiKey { expires_at: Some(Timestamp::UNIX_EPOCH), ..within }).await,
        Kind::Invalid,
    );

    // Others neither see nor revoke it; its owner does, and it ends at once.
    let stranger = somebody(&platform, "otto", None).await;
    let id = ApiKeyId(narrow.api_key.id);
    refused(stranger.revoke_api_key(id).await, Kind::NotFound);
    assert!(stranger.api_keys(None, &Slice::default()).await.unwrap().items.is_empty());
    acting(&narrow.key).await;
    person.revoke_api_key(id).await.unwrap();
    refused(platform.control.verify_api_key(&narrow.key).await, Kind::Unauthenticated);
    // Also where somebody has verified it just before.
    refused(narrow_key.project("demo").await, Kind::NotFound);
    platform.sql("UPDATE ops.api_keys SET expires_at = now() WHERE name = 'within'").await;
}

#[tokio::test]
async fn operators_make_and_disable_users() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    control.bootstrap_admin().await.unwrap();
    let operator = control.acting_as(&Principal::user(user_id(&platform, "admin").await));
    let new = |login: &str| NewUser { login: login.into(), operator: false };
    let made = operator.create_user(new("ada@example.com")).await.unwrap();
    refused(operator.create_user(new("ada@example.com")).await, Kind::Taken);
    for bad in ["", "Ada", "a b", "-a", "a\0", &"a".repeat(101)] {
        refused(operator.create_user(new(bad)).await, Kind::Invalid);
    }
    let signed_in = control.sign_in("ada@example.com", &made.one_time_password, "::1").await.unwrap();
    assert!(signed_in.session.must_set_password);
    let ada = control.acting_as(&Principal::user(signed_in.session.user));
    refused(ada.create_user(new("other")).await, Kind::Forbidden);
    refused(ada.reset_password("admin").await, Kind::Forbidden);
    refused(ada.disable_user("admin").await, Kind::Forbidden);
    let seen: Vec<String> =
        ada.users(&Slice::default()).await.unwrap().items.into_iter().map(|user| user.login).collect();
    assert_eq!(seen, ["ada@example.com"]);
    let key = ada.create_key(NewApiKey { name: "mine".into(), ..NewApiKey::default() }).await.unwrap();
    control.verify_api_key(&key.key).await.unwrap();

    refused(operator.disable_user("admin").await, Kind::WrongState);
    let disabled = operator.disable_user("ada@example.com").await.unwrap();
    assert!(disabled.disabled_at.is_some());
    refused(control.session(&signed_in.token).await, Kind::Unauthenticated);
    refused(control.verify_api_key(&key.key).await, Kind::Unauthenticated);
    let password = operator.reset_password("ada@example.com").await.unwrap();
    let refusal = refused(control.sign_in("ada@example.com", &password, "::1").await, Kind::Forbidden);
    assert!(refusal.detail.contains("disabled"), "{refusal}");
    operator.enable_user("ada@example.com").await.unwrap();
    control.verify_api_key(&key.key).await.unwrap();
    let password = operator.reset_password("ada@example.com").await.unwrap();
    control.sign_in("ada@example.com", &password, "::1").await.unwrap();
    // An operator sees every project, and is one until told otherwise.
    assert!(ada.projects(&Slice::default()).await.unwrap().items.is_empty());
    operator.set_operator("ada@example.com", true).await.unwrap();
    assert_eq!(ada.projects(&Slice::default()).await.unwrap().items.len(), 1);
    refused(ada.set_operator("ada@example.com", false).await, Kind::WrongState);
}

#[tokio::test]
async fn what_was_refused_is_written_down() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let stranger = somebody(&platform, "otto", None).await;
    let viewer = somebody(&platform, "vera", Some(Role::Viewer)).await;
    refused(stranger.tenant("acme").await, Kind::NotFound);
    refused(stranger.tenant("never-was").await, Kind::NotFound);
    refused(viewer.suspend_tenant("acme").await, Kind::Forbidden);
    let sql = "SELECT detail ->> 'attempt' FROM ops.audit WHERE act = 'refused' ORDER BY id";
    let rows = platform.scratch.admin().await.query(sql, &[]).await.unwrap();
    let attempts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(attempts, ["look at the tenant acme", "suspend acme"]);
}

//! Policies and what they ask for, as operations of control: acts without a run.

use control::{ApprovalFilter, Control, Kind, Slice};
use model::access::Role;
use model::policy::{Act, ApprovalState, Decision};
use model::project::Stage;
use model::run::{RunKind, RunState};
use model::{ApprovalId, PolicyId, RunId};
use protocol::api::{NewEnvironment, NewPolicy, NewSnapshot, PolicyTerms, SecretsOf};

use crate::platform::{Platform, asked, new_tenant, refused, somebody};

struct Team {
    platform: Platform,
    olga: Control,
    ada: Control,
}

impl Team {
    async fn new() -> Self {
        let platform = Platform::new().await;
        platform.environment().await;
        platform.tenant("acme").await;
        let olga = somebody(&platform, "olga", Role::Owner).await;
        let ada = somebody(&platform, "ada", Role::Admin).await;
        Self { platform, olga, ada }
    }

    async fn policy(&self, act: Act, stage: Option<Stage>, approvals: i32) -> PolicyId {
        PolicyId(self.olga.create_policy(policy(act, stage, approvals)).await.unwrap().id)
    }

    /// The only one that is pending.
    async fn pending(&self) -> protocol::api::Approval {
        let filter = ApprovalFilter { state: Some(ApprovalState::Pending), ..ApprovalFilter::default() };
        let mut pending = self.ada.approvals(&filter, &Slice::first()).await.unwrap().items;
        assert_eq!(pending.len(), 1, "{pending:?}");
        pending.remove(0)
    }
}

fn policy(act: Act, stage: Option<Stage>, approvals: i32) -> NewPolicy {
    NewPolicy {
        project: "demo".into(),
        act,
        environment: None,
        stage,
        approvals,
        roles: None,
        expires_after: None,
    }
}

fn id(approval: &protocol::api::Approval) -> ApprovalId {
    ApprovalId(approval.id)
}

#[tokio::test]
async fn a_tenant_is_archived_once_somebody_else_agrees() {
    let team = Team::new().await;
    team.policy(Act::ArchiveTenant, Some(Stage::Production), 1).await;
    let refusal = refused(team.olga.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
    assert!(refusal.detail.contains("archive the tenant acme"), "{refusal}");
    assert!(refusal.hint.as_deref().unwrap().starts_with("ada may approve it until "), "{refusal:?}");
    let pending = team.pending().await;
    assert_eq!(
        (pending.requested_by.as_str(), pending.waits_for.as_slice()),
        ("olga", &["ada".to_owned()][..])
    );
    assert_eq!(pending.environment.as_deref(), Some("demo/live"));
    // Asked again it is the same question.
    refused(team.olga.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
    assert_eq!(team.pending().await.id, pending.id);
    refused(team.olga.decide_approval(id(&pending), Decision::Approve, None).await, Kind::Forbidden);
    let viewer = somebody(&team.platform, "vera", Role::Viewer).await;
    refused(viewer.decide_approval(id(&pending), Decision::Approve, None).await, Kind::Forbidden);
    let granted = team.ada.decide_approval(id(&pending), Decision::Approve, Some(" fine ")).await.unwrap();
    assert_eq!(granted.state, ApprovalState::Granted);
    assert_eq!(granted.decisions[0].note.as_deref(), Some("fine"));
    assert_eq!(team.olga.tenant("acme").await.unwrap().state.as_str(), "active");
    // It is hers, and nobody else's.
    refused(team.ada.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
    assert_eq!(team.olga.archive_tenant("acme", "acme").await.unwrap().state.as_str(), "archived");
    refused(team.ada.decide_approval(id(&pending), Decision::Refuse, None).await, Kind::WrongState);
    // Control's own acts ask nobody.
    team.platform.control.archive_tenant("acme", "acme").await.unwrap();
}

#[tokio::test]
async fn a_refusal_can_be_asked_against() {
    let team = Team::new().await;
    team.policy(Act::ArchiveTenant, None, 1).await;
    refused(team.olga.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
    let first = team.pending().await;
    let no = team.ada.decide_approval(id(&first), Decision::Refuse, Some("not on a Friday")).await.unwrap();
    assert_eq!((no.state, no.decisions[0].by.as_str()), (ApprovalState::Refused, "ada"));
    refused(team.olga.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
    assert_ne!(team.pending().await.id, first.id);
    let all = ApprovalFilter::default();
    let whole = team.olga.approvals(&all, &Slice::first()).await.unwrap();
    assert_eq!((whole.items.len(), whole.next.as_deref()), (2, None));
    let piece = team.olga.approvals(&all, &Slice { after: None, limit: 1 }).await.unwrap();
    let after = piece.next.clone().map(|next| next.parse().unwrap());
    let rest = team.olga.approvals(&all, &Slice { after, limit: 1 }).await.unwrap();
    assert_eq!((rest.items.len(), rest.next.as_deref()), (1, None));
    assert_eq!(
        [&piece.items[0], &rest.items[0]].map(|one| one.id),
        [0, 1].map(|at: usize| whole.items[at].id)
    );
}

#[tokio::test]
async fn policies_are_edited_by_version_and_by_administrators() {
    let team = Team::new().await;
    let made = team.olga.create_policy(policy(Act::Restore, Some(Stage::Production), 1)).await.unwrap();
    assert_eq!((made.version, made.expires_after), (1, 86_400));
    assert_eq!(made.roles, [Role::Owner, Role::Admin]);
    let id = PolicyId(made.id);
    let again = policy(Act::Restore, Some(Stage::Production), 2);
    refused(team.ada.create_policy(again).await, Kind::Taken);
    let terms = |approvals| PolicyTerms {
        approvals,
        roles: Some(vec![Role::Owner, Role::Owner]),
        expires_after: Some(60),
    };
    let changed = team.ada.change_policy(id, terms(2), Some(1)).await.unwrap();
    assert_eq!((changed.version, changed.approvals, changed.roles.as_slice()), (2, 2, &[Role::Owner][..]));
    refused(team.olga.change_policy(id, terms(3), Some(1)).await, Kind::Changed);
    refused(team.olga.remove_policy(id, Some(1)).await, Kind::Changed);
    let developer = somebody(&team.platform, "dora", Role::Developer).await;
    refused(developer.create_policy(policy(Act::Snapshot, None, 1)).await, Kind::Forbidden);
    refused(developer.change_policy(id, terms(0), None).await, Kind::Forbidden);
    refused(developer.remove_policy(id, None).await, Kind::Forbidden);
    assert_eq!(developer.policies(Some("demo")).await.unwrap().len(), 1);
    team.ada.remove_policy(id, Some(2)).await.unwrap();
    refused(team.ada.policy(id).await, Kind::NotFound);

    let wrong = |change: fn(&mut NewPolicy)| {
        let mut new = policy(Act::Restore, None, 1);
        change(&mut new);
        new
    };
    for new in [
        wrong(|new| new.approvals = -1),
        wrong(|new| new.approvals = 11),
        wrong(|new| new.expires_after = Some(59)),
        wrong(|new| new.expires_after = Some(i32::MAX)),
        wrong(|new| new.roles = Some(vec![])),
        wrong(|new| (new.environment, new.stage) = (Some("live".into()), Some(Stage::Staging))),
        wrong(|new| (new.act, new.stage) = (Act::ChangePolicy, Some(Stage::Staging))),
    ] {
        refused(team.olga.create_policy(new).await, Kind::Invalid);
    }
    refused(team.olga.create_policy(wrong(|new| new.environment = Some("no".into()))).await, Kind::NotFound);
    refused(team.olga.create_policy(wrong(|new| new.project = "no".into())).await, Kind::NotFound);
}

/// Where policies themselves take an approval, nobody takes one away alone.
#[tokio::test]
async fn a_policy_on_policies_holds_for_all_of_them() {
    let team = Team::new().await;
    let archive = team.policy(Act::ArchiveTenant, None, 1).await;
    let own = team.policy(Act::ChangePolicy, None, 1).await;
    for policy in [archive, own] {
        refused(team.olga.remove_policy(policy, None).await, Kind::NeedsApproval);
    }
    let none = PolicyTerms { approvals: 0, roles: None, expires_after: None };
    refused(team.olga.change_policy(own, none.clone(), None).await, Kind::NeedsApproval);
    let near = NewPolicy { environment: Some("live".into()), ..policy(Act::ArchiveTenant, None, 0) };
    refused(team.olga.create_policy(near.clone()).await, Kind::NeedsApproval);
    let asked = team.ada.approvals(&ApprovalFilter::default(), &Slice::first()).await.unwrap().items;
    let wanted = asked.iter().find(|one| one.summary.contains("in the environment live")).unwrap();
    team.ada.decide_approval(id(wanted), Decision::Approve, None).await.unwrap();
    // What was granted is this, and no other change.
    refused(team.olga.change_policy(own, none, None).await, Kind::NeedsApproval);
    team.olga.create_policy(near).await.unwrap();
    team.olga.archive_tenant("acme", "acme").await.unwrap();
}

#[tokio::test]
async fn a_destroyed_environment_takes_its_tenants_along() {
    let team = Team::new().await;
    let new = |stage| NewEnvironment { project: "demo".into(), name: "try".into(), stage, build: None };
    team.ada.create_environment(&asked(), new(Stage::Development)).await.unwrap();
    let mut tenant = new_tenant("mine");
    tenant.environment = "demo/try".into();
    team.ada.create_tenant(&asked(), tenant.clone()).await.unwrap();
    // Queued, its provision is cancelled; under way, it stands in the way.
    let claimed = team.platform.claim(RunKind::Provision).await;
    refused(team.ada.destroy_environment("demo/try", None).await, Kind::WrongState);
    assert_eq!(team.ada.environment("demo/try").await.unwrap().archived_at, None);
    team.platform.finish(&claimed, protocol::internal::Outcome::Cancelled).await.unwrap();
    team.policy(Act::DestroyEnvironment, Some(Stage::Development), 1).await;
    refused(team.ada.destroy_environment("demo/try", None).await, Kind::NeedsApproval);
    let pending = team.pending().await;
    team.olga.decide_approval(id(&pending), Decision::Approve, None).await.unwrap();
    let ended = team.ada.destroy_environment("demo/try", None).await.unwrap();
    assert!(ended.archived_at.is_some());
    assert_eq!(team.ada.tenant("mine").await.unwrap().state.as_str(), "archived");
    refused(team.ada.environment("demo/try").await, Kind::NotFound);
    refused(team.ada.destroy_environment("demo/try", None).await, Kind::NotFound);
    tenant.environment = ended.id.to_string();
    tenant.name = "late".into();
    refused(team.ada.create_tenant(&asked(), tenant).await, Kind::WrongState);
    // Its name is free again.
    team.ada.create_environment(&asked(), new(Stage::Staging)).await.unwrap();

    // Production takes its name.
    for name in [None, Some("demo/live"), Some("try")] {
        refused(team.ada.destroy_environment("demo/live", name).await, Kind::Invalid);
    }
    team.ada.destroy_environment("demo/live", Some("live")).await.unwrap();
    assert_eq!(team.ada.tenant("acme").await.unwrap().state.as_str(), "archived");
    let mut second = new(Stage::Production);
    second.name = "live".into();
    team.ada.create_environment(&asked(), second).await.unwrap();
}

#[tokio::test]
async fn secrets_take_an_approval_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets.key");
    daemon::secretfile::write(&file, control::new_key_file().unwrap().as_bytes()).unwrap();
    let platform =
        Platform::with(control::Settings { secrets_key: Some(file), ..control::Settings::default() }).await;
    platform.environment().await;
    let olga = somebody(&platform, "olga", Role::Owner).await;
    let ada = somebody(&platform, "ada", Role::Admin).await;
    let developer = somebody(&platform, "dora", Role::Developer).await;
    let of = SecretsOf { environment: Some("demo/live".into()), ..SecretsOf::default() };
    refused(developer.set_secret(&of, "TOKEN", "hunter2hunter2", None).await, Kind::Forbidden);
    refused(developer.remove_secret(&of, "TOKEN", None).await, Kind::Forbidden);
    olga.create_policy(policy(Act::SetSecret, Some(Stage::Production), 1)).await.unwrap();
    refused(olga.set_secret(&of, "TOKEN", "hunter2hunter2", None).await, Kind::NeedsApproval);
    assert!(ada.secrets(&of).await.unwrap().is_empty());
    let pending = ada.approvals(&ApprovalFilter::default(), &Slice::first()).await.unwrap().items;
    assert!(!format!("{pending:?}").contains("hunter2"));
    ada.decide_approval(id(&pending[0]), Decision::Approve, None).await.unwrap();
    let set = olga.set_secret(&of, "TOKEN", "hunter2hunter2", None).await.unwrap();
    assert_eq!((set.version, set.set_by.as_str()), (1, "olga"));
    assert_eq!(developer.secrets(&of).await.unwrap()[0].fingerprint, set.fingerprint);
    // Elsewhere nobody is asked.
    let project = SecretsOf { project: Some("demo".into()), ..SecretsOf::default() };
    olga.set_secret(&project, "TOKEN", "hunter2hunter2", None).await.unwrap();
}

#[tokio::test]
async fn what_nobody_decides_on_expires() {
    let team = Team::new().await;
    team.policy(Act::ArchiveTenant, None, 1).await;
    refused(team.olga.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
    let pending = team.pending().await;
    back(&team, "2 d").await;
    refused(team.ada.decide_approval(id(&pending), Decision::Approve, None).await, Kind::WrongState);
    let outcome = control::reconcile::approval::tick(&team.platform.control).await.unwrap();
    assert_eq!((outcome.expired, outcome.settled), (1, 0));
    assert_eq!(team.ada.approval(id(&pending)).await.unwrap().state, ApprovalState::Expired);
    refused(team.olga.archive_tenant("acme", "acme").await, Kind::NeedsApproval);
}

#[tokio::test]
async fn a_run_waits_until_it_is_approved() {
    let team = Team::new().await;
    team.policy(Act::Provision, Some(Stage::Production), 1).await;
    let made = team.ada.create_tenant(&asked(), new_tenant("mine")).await.unwrap();
    assert_eq!(made.run.state, RunState::Waiting);
    assert!(team.platform.try_claim(&[RunKind::Provision]).await.is_none());
    let run = RunId(made.run.id);
    let said = team.ada.run_events(run, 0).await.unwrap();
    assert!(
        said[0].message.starts_with("waits for one approval of owner or admin (olga) until "),
        "{said:?}"
    );
    let waiting = team.ada.approval_of_run(run).await.unwrap();
    assert_eq!((waiting.summary.as_str(), waiting.run), ("create the tenant mine", Some(made.run.id)));
    assert_eq!(waiting.waits_for, ["olga"]);
    refused(team.ada.decide_approval(id(&waiting), Decision::Approve, None).await, Kind::Forbidden);
    team.olga.decide_approval(id(&waiting), Decision::Approve, None).await.unwrap();
    let claimed = team.platform.claim(RunKind::Provision).await;
    assert_eq!(claimed.run, run);
    let said = team.ada.run_events(run, 0).await.unwrap();
    assert!(said.iter().any(|event| event.message == "approved by olga"), "{said:?}");
    // Of another kind, nobody is asked.
    let other = team.platform.control.create_snapshot(&asked(), "acme", snapshot("free")).await.unwrap();
    assert_eq!(team.platform.run(RunId(other.run)).await.state, RunState::Queued);
}

#[tokio::test]
async fn a_refused_run_ends_and_so_does_what_it_was_about() {
    let team = Team::new().await;
    team.policy(Act::Snapshot, None, 1).await;
    team.policy(Act::Provision, None, 1).await;
    let taken = team.ada.create_snapshot(&asked(), "acme", snapshot("mine")).await.unwrap();
    let run = RunId(taken.run);
    let waiting = team.ada.approval_of_run(run).await.unwrap();
    team.olga.decide_approval(id(&waiting), Decision::Refuse, Some("not now")).await.unwrap();
    let ended = team.platform.run(run).await;
    assert_eq!(
        (ended.state, ended.reason.as_deref()),
        (RunState::Cancelled, Some("refused by olga: not now"))
    );
    assert_eq!(team.ada.snapshot("acme", "mine").await.unwrap().state.as_str(), "failed");

    // Nobody decides on this one; cancelled, the next is nobody's any more.
    let late = team.ada.create_tenant(&asked(), new_tenant("late")).await.unwrap();
    back(&team, "2 d").await;
    let outcome = control::reconcile::approval::tick(&team.platform.control).await.unwrap();
    assert_eq!((outcome.expired, outcome.settled), (1, 1));
    let ended = team.platform.run(RunId(late.run.id)).await;
    assert_eq!(
        (ended.state, ended.reason.as_deref()),
        (RunState::Cancelled, Some("nobody approved it in time"))
    );
    assert_eq!(team.ada.tenant("late").await.unwrap().state.as_str(), "draft");
    let taken = team.ada.create_snapshot(&asked(), "acme", snapshot("again")).await.unwrap();
    team.ada.cancel_run(RunId(taken.run)).await.unwrap();
    let gone = team.ada.approval_of_run(RunId(taken.run)).await.unwrap();
    assert_eq!(gone.state, ApprovalState::Withdrawn);
    // Tried again, it is asked for again.
    team.ada.retry_run(RunId(late.run.id)).await.unwrap();
    let again = team.pending().await;
    assert_eq!(again.run, Some(late.run.id));
    team.olga.decide_approval(id(&again), Decision::Approve, None).await.unwrap();
    assert_eq!(team.platform.claim(RunKind::Provision).await.run, RunId(late.run.id));
}

fn snapshot(name: &str) -> NewSnapshot {
    NewSnapshot { name: Some(name.into()), kind: None, expires_at: None, ..Default::default() }
}

/// Time passes for all approvals.
async fn back(team: &Team, by: &str) {
    let sql = format!(
        "ALTER TABLE ops.approvals DISABLE TRIGGER stays;
         UPDATE ops.approvals
             SET asked_at = asked_at - interval '{by}', expires_at = expires_at - interval '{by}'
             WHERE state = 'pending';
         ALTER TABLE ops.approvals ENABLE TRIGGER stays"
    );
    team.platform.sql(&sql).await;
}

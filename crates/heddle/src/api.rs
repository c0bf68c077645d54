//! The requests that commands make of control, with their addresses.

use model::access::Permission;
use model::policy::ApprovalState;
use protocol::api::{
    Alert, Approval, Build, ChangeEnvironment, ChangeSchedule, ChangeTenant, CreatedPeek, CreatedTenant,
    Decide, DestroyEnvironment, Drain, Environment, LogLines, LoggedIn, Login, MaintenanceWindow, NewBuild,
    NewEnvironment, NewMaintenanceWindow, NewPeek, NewPolicy, NewProject, NewRestore, NewRuns, NewSchedule,
    NewSecret, NewSnapshot, NewTenant, Page, Peek, Policy, PolicyTerms, Project, QueuedRuns, Restore, Run,
    RunEvent, Schedule, ScheduleRan, ScheduledTime, Secret, SecretsOf, Snapshot, Status, Tenant,
};
use protocol::audit::{AuditBlocks, AuditChains, AuditRow};
use protocol::client::{Client, ClientError};
use protocol::people::{
    ApiKey, CreatedApiKey, Member, NewApiKey, NewUser, OneTimePassword, SetMember, SetOperator, User,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use crate::named::InProject;

type Result<T> = std::result::Result<T, ClientError>;

/// Which of what was written down is asked for.
#[derive(Debug, Default)]
pub struct AuditFilter {
    pub project: Option<String>,
    pub act: Option<String>,
    pub subject: Option<String>,
    pub since: Option<jiff::Timestamp>,
    pub limit: u32,
}

/// Control's public API.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
}

/// `/api/v1` and the segments, each safe to stand in an address.
fn path(segments: &[&str]) -> String {
    let mut path = String::from("/api/v1");
    for segment in segments {
        path.push('/');
        path += &encoded(segment);
    }
    path
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn query(path: String, pairs: &[(&str, Option<String>)]) -> String {
    let mut path = path;
    let mut separator = '?';
    for (name, value) in pairs {
        if let Some(value) = value {
            path += &format!("{separator}{name}={}", encoded(value));
            separator = '&';
        }
    }
    path
}

fn secrets_of(path: String, of: &SecretsOf) -> String {
    let of = of.clone();
    query(path, &[("project", of.project), ("environment", of.environment), ("tenant", of.tenant)])
}

impl Api {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn get<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T> {
        self.client.get(&path(segments)).await
    }

    /// The whole list, however many pieces it comes in.
    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit=1000");
        let mut page: Page<T> = self.client.get(&first).await?;
        let mut items = page.items;
        while let Some(next) = page.next {
            page = self.client.get(&format!("{first}&after={}", encoded(&next))).await?;
            items.append(&mut page.items);
        }
        Ok(items)
    }

    /// One piece of a list.
    async fn piece<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        Ok(self.client.get::<Page<T>>(path).await?.items)
    }

    /// Sent with a key of its own, so that control carries it out once even
    /// where a proxy repeats it.
    async fn ask<T: DeserializeOwned>(&self, segments: &[&str], body: &impl Serialize) -> Result<T> {
        self.client.post_once(&path(segments), body, &Uuid::now_v7().to_string()).await
    }

    pub async fn status(&self) -> Result<Status> {
        self.get(&["status"]).await
    }

    pub async fn projects(&self) -> Result<Vec<Project>> {
        self.list(&path(&["projects"])).await
    }

    pub async fn create_project(&self, new: &NewProject) -> Result<Project> {
        self.ask(&["projects"], new).await
    }

    pub async fn builds(&self, project: Option<&str>) -> Result<Vec<Build>> {
        let path = query(path(&["builds"]), &[("project", project.map(Into::into))]);
        self.list(&path).await
    }

    pub async fn build(&self, id: Uuid) -> Result<Build> {
        self.get(&["builds", &id.to_string()]).await
    }

    pub async fn create_build(&self, new: &NewBuild) -> Result<Build> {
        self.ask(&["builds"], new).await
    }

    pub async fn environments(&self, project: Option<&str>) -> Result<Vec<Environment>> {
        let path = query(path(&["environments"]), &[("project", project.map(Into::into))]);
        self.list(&path).await
    }

    pub async fn environment(&self, project: &str, name: &str) -> Result<Environment> {
        self.get(&["environments", project, name]).await
    }

    /// Changes it, if it is still at `version`.
    pub async fn change_environment(
        &self,
        project: &str,
        name: &str,
        version: i64,
        change: &ChangeEnvironment,
    ) -> Result<Environment> {
        self.client.patch(&path(&["environments", project, name]), change, version).await
    }

    pub async fn create_environment(&self, new: &NewEnvironment) -> Result<Environment> {
        self.ask(&["environments"], new).await
    }

    pub async fn tenants(&self, environment: Option<&str>) -> Result<Vec<Tenant>> {
        let path = query(path(&["tenants"]), &[("environment", environment.map(Into::into))]);
        self.list(&path).await
    }

    pub async fn tenant(&self, name: &str) -> Result<Tenant> {
        self.get(&["tenants", name]).await
    }

    /// Changes it, if it is still at `version`.
    pub async fn change_tenant(&self, name: &str, version: i64, change: &ChangeTenant) -> Result<Tenant> {
        self.client.patch(&path(&["tenants", name]), change, version).await
    }

    pub async fn create_tenant(&self, new: &NewTenant) -> Result<CreatedTenant> {
        self.ask(&["tenants"], new).await
    }

    pub async fn suspend_tenant(&self, name: &str) -> Result<Tenant> {
        self.ask(&["tenants", name, "suspend"], &json!({})).await
    }

    pub async fn resume_tenant(&self, name: &str) -> Result<Tenant> {
        self.ask(&["tenants", name, "resume"], &json!({})).await
    }

    /// `confirm`: the tenant's name once more.
    pub async fn archive_tenant(&self, name: &str, confirm: &str) -> Result<Tenant> {
        self.ask(&["tenants", name, "archive"], &json!({"confirm": confirm})).await
    }

    pub async fn tenant_log(&self, name: &str, cluster: bool, lines: u32) -> Result<LogLines> {
        let source = cluster.then(|| "cluster".to_owned());
        let path =
            query(path(&["tenants", name, "log"]), &[("source", source), ("lines", Some(lines.to_string()))]);
        self.client.get(&path).await
    }

    pub async fn shred_tenant(&self, name: &str, confirm: &str) -> Result<Run> {
        self.ask(&["tenants", name, "shred"], &json!({"confirm": confirm})).await
    }

    /// `verb` is `pin` or `unpin`.
    pub async fn pin_snapshot(&self, tenant: &str, snapshot: &str, verb: &str) -> Result<Snapshot> {
        self.ask(&["tenants", tenant, "snapshots", snapshot, verb], &json!({})).await
    }

    pub async fn snapshots(&self, tenant: &str) -> Result<Vec<Snapshot>> {
        self.list(&path(&["tenants", tenant, "snapshots"])).await
    }

    pub async fn snapshot(&self, tenant: &str, snapshot: &str) -> Result<Snapshot> {
        self.get(&["tenants", tenant, "snapshots", snapshot]).await
    }

    pub async fn create_snapshot(&self, tenant: &str, new: &NewSnapshot) -> Result<Snapshot> {
        self.ask(&["tenants", tenant, "snapshots"], new).await
    }

    pub async fn create_peek(&self, tenant: &str, new: &NewPeek) -> Result<CreatedPeek> {
        self.ask(&["tenants", tenant, "peeks"], new).await
    }

    pub async fn peeks(&self, tenant: &str) -> Result<Vec<Peek>> {
        self.list(&path(&["tenants", tenant, "peeks"])).await
    }

    pub async fn peek(&self, tenant: &str, peek: Uuid) -> Result<Peek> {
        self.get(&["tenants", tenant, "peeks", &peek.to_string()]).await
    }

    pub async fn end_peek(&self, tenant: &str, peek: Uuid) -> Result<()> {
        self.client.delete(&path(&["tenants", tenant, "peeks", &peek.to_string()]), None).await
    }

    pub async fn create_restore(&self, tenant: &str, new: &NewRestore) -> Result<Restore> {
        self.ask(&["tenants", tenant, "restores"], new).await
    }

    pub async fn restore(&self, id: Uuid) -> Result<Restore> {
        self.get(&["restores", &id.to_string()]).await
    }

    /// `now`: without waiting for a maintenance window.
    pub async fn confirm_restore(&self, id: Uuid, now: bool) -> Result<Restore> {
        let path = path(&["restores", &id.to_string(), "confirm"]);
        let path = query(path, &[("now", now.then(|| "true".to_owned()))]);
        self.client.post_once(&path, &json!({}), &Uuid::now_v7().to_string()).await
    }

    pub async fn schedules(&self, project: Option<&str>) -> Result<Vec<Schedule>> {
        let path = query(path(&["schedules"]), &[("project", project.map(Into::into))]);
        self.list(&path).await
    }

    pub async fn schedule(&self, schedule: &InProject) -> Result<Schedule> {
        self.get(&["schedules", &schedule.project, &schedule.name]).await
    }

    pub async fn create_schedule(&self, new: &NewSchedule) -> Result<Schedule> {
        self.ask(&["schedules"], new).await
    }

    /// Changes it, if it is still at `version`.
    pub async fn change_schedule(
        &self,
        schedule: &InProject,
        version: i64,
        change: &ChangeSchedule,
    ) -> Result<Schedule> {
        self.client.patch(&path(&["schedules", &schedule.project, &schedule.name]), change, version).await
    }

    pub async fn remove_schedule(&self, schedule: &InProject) -> Result<()> {
        self.client.delete(&path(&["schedules", &schedule.project, &schedule.name]), None).await
    }

    pub async fn schedule_times(&self, schedule: &InProject, count: u32) -> Result<Vec<ScheduledTime>> {
        let path = path(&["schedules", &schedule.project, &schedule.name, "next"]);
        self.piece(&query(path, &[("count", Some(count.to_string()))])).await
    }

    pub async fn run_schedule(&self, schedule: &InProject) -> Result<ScheduleRan> {
        self.ask(&["schedules", &schedule.project, &schedule.name, "run"], &json!({})).await
    }

    pub async fn maintenance_windows(&self, project: Option<&str>) -> Result<Vec<MaintenanceWindow>> {
        let path = query(path(&["maintenance-windows"]), &[("project", project.map(Into::into))]);
        self.list(&path).await
    }

    pub async fn create_maintenance_window(&self, new: &NewMaintenanceWindow) -> Result<MaintenanceWindow> {
        self.ask(&["maintenance-windows"], new).await
    }

    pub async fn remove_maintenance_window(&self, window: &InProject) -> Result<()> {
        self.client.delete(&path(&["maintenance-windows", &window.project, &window.name]), None).await
    }

    pub async fn alerts(&self, state: Option<&str>, limit: u32) -> Result<Vec<Alert>> {
        let pairs = [("state", state.map(Into::into)), ("limit", Some(limit.to_string()))];
        self.piece(&query(path(&["alerts"]), &pairs)).await
    }

    pub async fn acknowledge_alert(&self, id: Uuid) -> Result<Alert> {
        self.ask(&["alerts", &id.to_string(), "acknowledge"], &json!({})).await
    }

    /// `filters`: what the address says beside `limit`.
    pub async fn runs(&self, filters: &[(&str, Option<String>)], limit: u32) -> Result<Page<Run>> {
        let mut pairs = filters.to_vec();
        pairs.push(("limit", Some(limit.to_string())));
        self.client.get(&query(path(&["runs"]), &pairs)).await
    }

    pub async fn queue_runs(&self, new: &NewRuns) -> Result<QueuedRuns> {
        self.ask(&["runs"], new).await
    }

    pub async fn drain_worker(&self, name: &str, drain: bool) -> Result<Drain> {
        self.ask(&["workers", name, "drain"], &Drain { drain }).await
    }

    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>> {
        let path = query(
            path(&["audit"]),
            &[
                ("project", filter.project.clone()),
                ("act", filter.act.clone()),
                ("subject", filter.subject.clone()),
                ("since", filter.since.map(|since| since.to_string())),
                ("limit", Some(filter.limit.to_string())),
            ],
        );
        self.piece(&path).await
    }

    pub async fn audit_chains(&self) -> Result<AuditChains> {
        self.get(&["audit", "chains"]).await
    }

    /// A chain's blocks after the one with the number `after`.
    pub async fn audit_blocks(&self, project: &str, after: i64) -> Result<AuditBlocks> {
        let pairs = [("project", Some(project.to_owned())), ("after", Some(after.to_string()))];
        self.client.get(&query(path(&["audit", "blocks"]), &pairs)).await
    }

    pub async fn run(&self, id: Uuid) -> Result<Run> {
        self.get(&["runs", &id.to_string()]).await
    }

    /// Events after the one with the id `after`, in order.
    pub async fn run_events(&self, id: Uuid, after: i64) -> Result<Vec<RunEvent>> {
        let path = query(path(&["runs", &id.to_string(), "events"]), &[("after", Some(after.to_string()))]);
        self.piece(&path).await
    }

    pub async fn members(&self, project: &str) -> Result<Vec<Member>> {
        self.list(&path(&["projects", project, "members"])).await
    }

    pub async fn set_member(
        &self,
        project: &str,
        login: &str,
        set: &SetMember,
        version: Option<i64>,
    ) -> Result<Member> {
        self.client.put(&path(&["projects", project, "members", login]), set, version).await
    }

    pub async fn remove_member(&self, project: &str, login: &str, version: Option<i64>) -> Result<()> {
        self.client.delete(&path(&["projects", project, "members", login]), version).await
    }

    /// `environment`: its name within the project.
    pub async fn grant(
        &self,
        project: &str,
        environment: &str,
        login: &str,
        permission: Permission,
    ) -> Result<Member> {
        let path = path(&["environments", project, environment, "grants", login, permission.as_str()]);
        self.client.put(&path, &json!({}), None).await
    }

    pub async fn withdraw(
        &self,
        project: &str,
        environment: &str,
        login: &str,
        permission: Permission,
    ) -> Result<()> {
        let path = path(&["environments", project, environment, "grants", login, permission.as_str()]);
        self.client.delete(&path, None).await
    }

    pub async fn users(&self) -> Result<Vec<User>> {
        self.list(&path(&["users"])).await
    }

    pub async fn create_user(&self, new: &NewUser) -> Result<OneTimePassword> {
        self.ask(&["users"], new).await
    }

    /// `verb`: disable or enable.
    pub async fn change_user(&self, login: &str, verb: &str) -> Result<User> {
        self.ask(&["users", login, verb], &json!({})).await
    }

    pub async fn new_password(&self, login: &str) -> Result<OneTimePassword> {
        self.ask(&["users", login, "one-time-password"], &json!({})).await
    }

    pub async fn set_operator(&self, login: &str, operator: bool) -> Result<User> {
        self.client.put(&path(&["users", login, "operator"]), &SetOperator { operator }, None).await
    }

    pub async fn keys(&self, project: Option<&str>) -> Result<Vec<ApiKey>> {
        self.list(&query(path(&["keys"]), &[("project", project.map(Into::into))])).await
    }

    pub async fn create_key(&self, new: &NewApiKey) -> Result<CreatedApiKey> {
        self.ask(&["keys"], new).await
    }

    pub async fn revoke_key(&self, id: Uuid) -> Result<ApiKey> {
        self.ask(&["keys", &id.to_string(), "revoke"], &json!({})).await
    }

    pub async fn secrets(&self, of: &SecretsOf) -> Result<Vec<Secret>> {
        self.piece(&secrets_of(path(&["secrets"]), of)).await
    }

    pub async fn set_secret(
        &self,
        name: &str,
        of: &SecretsOf,
        new: &NewSecret,
        version: Option<i64>,
    ) -> Result<Secret> {
        self.client.put(&secrets_of(path(&["secrets", name]), of), new, version).await
    }

    pub async fn remove_secret(&self, name: &str, of: &SecretsOf, version: Option<i64>) -> Result<()> {
        self.client.delete(&secrets_of(path(&["secrets", name]), of), version).await
    }

    /// `confirm`: production's name once more.
    pub async fn destroy_environment(
        &self,
        project: &str,
        name: &str,
        confirm: Option<String>,
    ) -> Result<Environment> {
        self.ask(&["environments", project, name, "destroy"], &DestroyEnvironment { confirm }).await
    }

    pub async fn approvals(
        &self,
        project: Option<&str>,
        state: Option<ApprovalState>,
        limit: u32,
    ) -> Result<Vec<Approval>> {
        let pairs = [
            ("project", project.map(Into::into)),
            ("state", state.map(|state| state.to_string())),
            ("limit", Some(limit.to_string())),
        ];
        self.piece(&query(path(&["approvals"]), &pairs)).await
    }

    /// By its own id, or by that of the run that asked for it.
    pub async fn approval(&self, id: Uuid) -> Result<Approval> {
        match self.get(&["approvals", &id.to_string()]).await {
            Err(error) if error.status() == Some(404) => {
                let of_run = self.get(&["runs", &id.to_string(), "approval"]).await;
                of_run.or(Err(error))
            }
            found => found,
        }
    }

    /// `verb`: approve or refuse.
    pub async fn decide_approval(&self, id: Uuid, verb: &str, note: Option<&str>) -> Result<Approval> {
        let decide = Decide { note: note.map(Into::into) };
        self.ask(&["approvals", &id.to_string(), verb], &decide).await
    }

    pub async fn policies(&self, project: Option<&str>) -> Result<Vec<Policy>> {
        self.piece(&query(path(&["policies"]), &[("project", project.map(Into::into))])).await
    }

    pub async fn create_policy(&self, new: &NewPolicy) -> Result<Policy> {
        self.ask(&["policies"], new).await
    }

    pub async fn change_policy(&self, id: Uuid, terms: &PolicyTerms, version: i64) -> Result<Policy> {
        self.client.put(&path(&["policies", &id.to_string()]), terms, Some(version)).await
    }

    pub async fn remove_policy(&self, id: Uuid, version: i64) -> Result<()> {
        self.client.delete(&path(&["policies", &id.to_string()]), Some(version)).await
    }

    pub async fn log_in(&self, login: &Login) -> Result<LoggedIn> {
        self.client.post(&path(&["login"]), login).await
    }

    pub async fn log_out(&self) -> Result<()> {
        self.client.tell(&path(&["logout"])).await
    }

    /// `verb`: cancel or retry.
    pub async fn change_run(&self, id: Uuid, verb: &str) -> Result<Run> {
        self.ask(&["runs", &id.to_string(), verb], &json!({})).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(path(&["tenants", "../x y?"]), "/api/v1/tenants/..%2Fx%20y%3F");
        assert_eq!(
            query(path(&["runs"]), &[("tenant", None), ("limit", Some("5".into()))]),
            "/api/v1/runs?limit=5"
        );
    }
}

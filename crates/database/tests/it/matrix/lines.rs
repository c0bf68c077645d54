//! The table that the walk compares with: what each table lets people and
//! workers do.

use model::access::Permission;
use model::access::Permission::{Administer, Develop, Operate, Own, Read, Test};

use self::Rule::{Everybody, If, InProject, May, Nobody, Operator};
use super::who::{Row, Who};

/// Who may do one verb with one row.
#[derive(Clone, Copy)]
pub enum Rule {
    Nobody,
    Everybody,
    /// Who has the permission in the row's environment, where production asks
    /// for `operate` instead of `test` and `develop`; else in its project.
    May(Permission),
    /// Who has it in the row's project.
    InProject(Permission),
    Operator,
    If(fn(&Who, &Row) -> bool),
}

impl Rule {
    pub fn lets(self, who: &Who, row: &Row) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::May(permission) => who.may(permission, row),
            Self::InProject(permission) => who.may_in_project(permission, row),
            Self::Operator => who.is_operator(),
            Self::If(rule) => rule(who, row),
        }
    }
}

/// Select, insert, update, delete.
pub type Rules = [Rule; 4];

pub struct Line {
    pub table: &'static str,
    pub people: Rules,
    pub workers: Rules,
}

const NOTHING: Rules = [Nobody; 4];

/// Of a tenant that the worker hosts, or holds a run of.
const HOSTED: Rule = If(|who, row| who.hosts_tenant(row));
/// Of a tenant that it holds a run of.
const HELD: Rule = If(|who, row| who.holds_tenant(row));
const ITSELF: Rule = If(|who, row| row.worker.as_deref() == Some(who.name));

/// Said by the claims alone: what somebody disabled has asked for tells nothing.
const ASKED: Rule = If(|who, row| {
    let asked = if who.is_key() { &row.key_name } else { &row.login };
    asked.as_deref() == Some(who.name)
});

fn whole_installation_or(permission: Permission, who: &Who, row: &Row) -> bool {
    match row.project {
        None => who.is_operator(),
        Some(_) => who.may_in_project(permission, row),
    }
}

/// Only owners make and unmake owners.
const MEMBERSHIP: Rule = If(|who, row| {
    who.may_in_project(Administer, row) && (row.text("role") != "owner" || who.may_in_project(Own, row))
});

/// A key's owner, an operator, or who administers the project it is bound to.
const KEY_HOLDER: Rule = If(|who, row| {
    (row.login.is_some() && row.login == who.acts_for())
        || who.is_operator()
        || (row.project.is_some() && who.may_in_project(Administer, row))
});

/// For oneself and no wider than what makes it; by an operator without a user.
const NEW_KEY: Rule = If(|who, row| {
    let whose = match &row.login {
        None => who.is_operator(),
        Some(_) => row.login == who.acts_for() && (row.project.is_none() || who.may_in_project(Read, row)),
    };
    whose && who.reaches(row)
});

pub fn lines() -> Vec<Line> {
    let line = |table, people, workers| Line { table, people, workers };
    let read = [May(Read), Nobody, Nobody, Nobody];
    let for_all = [Everybody, Nobody, Nobody, Nobody];
    let asked_of_tenant = [May(Read), May(Test), May(Test), Nobody];
    let held_run = If(|who, row| row.holder.as_deref() == Some(who.name));
    let of_held = If(|who, row| row.holder.as_deref() == Some(who.name) || who.holds_tenant(row));
    vec![
        line("roles", for_all, for_all),
        line("schema_migrations", for_all, for_all),
        line(
            "projects",
            [May(Read), Operator, Nobody, Nobody],
            [If(|who, row| who.works_in(row)), Nobody, Nobody, Nobody],
        ),
        line("project_members", [May(Read), MEMBERSHIP, MEMBERSHIP, MEMBERSHIP], NOTHING),
        line("env_permissions", [May(Read), InProject(Administer), Nobody, InProject(Administer)], NOTHING),
        line(
            "builds",
            [May(Read), InProject(Develop), InProject(Develop), Nobody],
            [
                If(|who, row| who.holds_build(row) || (row.text("state") == "ready" && who.works_in(row))),
                Nobody,
                If(|who, row| who.holds_build(row)),
                Nobody,
            ],
        ),
        line(
            "environments",
            [
                May(Read),
                If(|who, row| {
                    let needed = if row.production() { Operate } else { Develop };
                    who.may_in_project(needed, row)
                }),
                May(Develop),
                Nobody,
            ],
            [If(|who, row| who.works_in(row)), Nobody, Nobody, Nobody],
        ),
        line("tenants", [May(Read), May(Develop), May(Develop), Nobody], [HOSTED, Nobody, HELD, Nobody]),
        line("lineages", read, [HOSTED, HELD, HELD, Nobody]),
        line("tenant_databases", read, [HOSTED, HELD, Nobody, Nobody]),
        line("base_backups", read, [HOSTED, HELD, HELD, Nobody]),
        line(
            "tenant_observations",
            [May(Read), Nobody, May(Develop), Nobody],
            [HOSTED, HOSTED, HOSTED, Nobody],
        ),
        line("tenant_wal", read, [HOSTED, HOSTED, HOSTED, Nobody]),
        line("snapshots", asked_of_tenant, [HOSTED, Nobody, HELD, Nobody]),
        // Reading all that is in a database takes more than restoring it.
        line(
            "peeks",
            [May(Read), May(Develop), May(Develop), Nobody],
            [
                If(|who, row| who.hosts_tenant(row) || row.worker.as_deref() == Some(who.name)),
                Nobody,
                If(|who, row| who.holds_tenant(row) || row.worker.as_deref() == Some(who.name)),
                Nobody,
            ],
        ),
        line("restores", asked_of_tenant, [HOSTED, Nobody, HELD, Nobody]),
        line(
            "workers",
            [If(|who, _| who.is_operator() || who.has_a_project()), Nobody, Nobody, Nobody],
            [ITSELF, Nobody, ITSELF, Nobody],
        ),
        line("worker_disks", [Operator, Nobody, Nobody, Nobody], [ITSELF, ITSELF, ITSELF, Nobody]),
        line("clusters", read, [ITSELF, ITSELF, ITSELF, Nobody]),
        line(
            "users",
            [
                If(|who, row| row.login == who.acts_for() || who.is_operator() || who.shares_a_project(row)),
                Operator,
                Operator,
                Nobody,
            ],
            NOTHING,
        ),
        line("api_keys", [KEY_HOLDER, NEW_KEY, KEY_HOLDER, Nobody], NOTHING),
        // Control's alone.
        line("sessions", NOTHING, NOTHING),
        line("sign_in_failures", NOTHING, NOTHING),
        line("data_keys", NOTHING, NOTHING),
        line("secrets_changed", NOTHING, NOTHING),
        line("secrets", [May(Read), InProject(Administer), InProject(Administer), Nobody], NOTHING),
        line("secret_versions", [May(Read), InProject(Administer), Nobody, InProject(Administer)], NOTHING),
        line(
            "schedules",
            [May(Read), InProject(Administer), InProject(Administer), InProject(Administer)],
            NOTHING,
        ),
        line(
            "maintenance_windows",
            [May(Read), InProject(Administer), Nobody, InProject(Administer)],
            NOTHING,
        ),
        line(
            "alerts",
            [
                If(|who, row| whole_installation_or(Read, who, row)),
                Nobody,
                If(|who, row| whole_installation_or(Operate, who, row)),
                Nobody,
            ],
            NOTHING,
        ),
        line(
            "audit",
            [If(|who, row| whole_installation_or(Administer, who, row)), Nobody, Nobody, Nobody],
            NOTHING,
        ),
        line(
            "audit_blocks",
            [If(|who, row| whole_installation_or(Administer, who, row)), Nobody, Nobody, Nobody],
            NOTHING,
        ),
        line("audit_horizon", for_all, NOTHING),
        // The queue is written by its functions alone.
        line("runs", read, [of_held, Nobody, Nobody, Nobody]),
        line("leases", read, [held_run, Nobody, Nobody, Nobody]),
        line("run_events", read, [held_run, Nobody, Nobody, Nobody]),
        line("run_ready", read, NOTHING),
        line("run_dependencies", read, NOTHING),
        line("queue_marks", NOTHING, NOTHING),
        line("run_kinds", for_all, for_all),
        line(
            "queue_caps",
            [If(|who, row| row.project.is_none() || who.may(Read, row)), Nobody, Nobody, Nobody],
            NOTHING,
        ),
        line(
            "policies",
            [May(Read), InProject(Administer), InProject(Administer), InProject(Administer)],
            NOTHING,
        ),
        line("approvals", read, NOTHING),
        line("approval_decisions", read, NOTHING),
        // What one has asked for oneself.
        line("requests", [ASKED, ASKED, Nobody, Nobody], NOTHING),
    ]
}

/// The functions that act as the schema's owner, and the roles that may call
/// them: c control, u people, w workers. Trigger functions are called by nobody.
pub const DEFINERS: &[(&str, &str)] = &[
    ("append_event", "cw"),
    ("append_events", "cw"),
    ("ask_approval", "cu"),
    ("audit_refusal", "cuw"),
    ("cancel_run", "cu"),
    ("claim_next_run", "cw"),
    ("create_backup", "cu"),
    ("decide_approval", "cu"),
    ("deciders", "cu"),
    ("drain_worker", "cu"),
    ("end_sessions", "cu"),
    ("expire_approvals", "c"),
    ("find_user", "cu"),
    ("finish_run", "cw"),
    ("finish_runs", "cw"),
    ("heartbeat", "cw"),
    ("heartbeats", "cw"),
    ("held_builds", "cw"),
    ("held_tenants", "cw"),
    ("hold_run", "cw"),
    ("is_operator", "cu"),
    ("keep_event_partitions", "c"),
    ("lock_tenant", "cuw"),
    ("looked_at", ""),
    ("lost_leases", "c"),
    ("mark_audit", "c"),
    ("may_in", ""),
    ("may_run", ""),
    ("may_watch", "cu"),
    ("my_builds", "cw"),
    ("my_clusters", "cw"),
    ("my_environments", "cu"),
    ("my_projects", "cu"),
    ("my_runs", "cw"),
    ("my_tenants", "cw"),
    ("myself", "cu"),
    ("name_of", "cu"),
    ("note_runs", ""),
    ("person_of", ""),
    ("place_runs", ""),
    ("policy_for", ""),
    ("queue_run", "cu"),
    ("queue_each", ""),
    ("queue_runs", "cuw"),
    ("ready_run", "cu"),
    ("ready_runs", ""),
    ("restore_backup", "cu"),
    ("retry_run", "cu"),
    ("server_load", "c"),
    ("settle_approval", "c"),
    ("settle_dependents", ""),
    ("state_of", ""),
    ("take_runs", "c"),
    ("tell_runs", ""),
    ("tend_queue", "c"),
    ("use_approval", "cu"),
    ("within_my_key", "cu"),
];

/// Foreign keys that tell whether the other end is there, and why that is no
/// secret of another project.
pub const TELLING: &[(&str, &str)] = &[
    // Whoever administers a project makes members of those who are users, and is told who is none.
    ("project_members", "user_id"),
    // A cell's worker would have to know the random id of another tenant's lineage.
    ("tenant_databases", "lineage_id"),
];

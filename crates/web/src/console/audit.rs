//! What was written down of a project: who changed what, through what and led
//! by which run; and whether that is as it was sealed.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use control::{AuditFilter, Control, PLATFORM, Verified, Verifier};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::access::Permission;
use protocol::audit::{AuditHead, AuditRow};
use serde::Deserialize;
use serde_json::Value;

use super::list::{address, piece, projects};
use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, html, html_with, show};
use crate::WebState;
use crate::extract::Query;
use crate::failure::{Answer, Failure};

/// What can be chosen of: acts begin with the noun that they are about.
const NOUNS: [(&str, &str); 19] = [
    ("", "Everything"),
    ("refused", "Refused attempts"),
    ("alerts", "Alerts"),
    ("api_keys", "API keys"),
    ("approvals", "Approvals"),
    ("builds", "Builds"),
    ("clusters", "Clusters"),
    ("environments", "Environments"),
    ("env_permissions", "Grants"),
    ("maintenance_windows", "Maintenance windows"),
    ("project_members", "Members"),
    ("policies", "Policies"),
    ("restores", "Restores"),
    ("runs", "Runs"),
    ("schedules", "Schedules"),
    ("secrets", "Secrets"),
    ("snapshots", "Snapshots"),
    ("tenants", "Tenants"),
    ("users", "Users"),
];

/// A longer chain is checked by the command: a page is not waited for so long.
const MOST_PIECES: usize = 25;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    project: String,
    #[serde(default)]
    act: String,
    #[serde(default)]
    subject: String,
    /// In UTC, as a browser's picker writes it.
    #[serde(default)]
    since: String,
    #[serde(default)]
    after: String,
}

impl Wanted {
    fn filter(&self) -> Answer<AuditFilter> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let since = match given(&self.since) {
            Some(since) => Some(moment(&since)?),
            None => None,
        };
        let act = given(&self.act);
        if act.as_ref().is_some_and(|act| act.len() > 84) {
            return Err(Failure::invalid("there is no act of so long a name"));
        }
        Ok(AuditFilter { project: given(&self.project), act, subject: given(&self.subject), since })
    }

    /// The same list from another place on.
    fn from(&self, after: &str) -> String {
        let Self { project, act, subject, since, .. } = self;
        let filters = [("project", project), ("act", act), ("subject", subject), ("since", since)]
            .map(|(n, v)| (n, &**v));
        address("/audit", &[&filters[..], &[("after", after)]].concat())
    }
}

fn moment(text: &str) -> Answer<Timestamp> {
    let moment = text.parse::<DateTime>().and_then(|at| at.to_zoned(TimeZone::UTC));
    let moment = moment.map_err(|_| {
        Failure::invalid("the moment is no date and time").hint("Write it as 2026-11-21T11:35:51.")
    })?;
    Ok(moment.timestamp())
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    /// Those whose chains the visitor may read, and how they are called.
    chains: Vec<(String, String)>,
    wanted: Wanted,
    rows: Vec<AuditRow>,
    older: Option<String>,
    head: Option<AuditHead>,
    /// What a look at the whole chain came to.
    checked: Option<Checked>,
    notice: Option<Notice>,
}

enum Checked {
    Whole(Box<Verified>),
    TooLong,
}

impl AuditPage {
    async fn load(state: &WebState, frame: Frame, mut wanted: Wanted) -> Answer<Self> {
        let control = &state.control;
        let chains = chains(control).await?;
        if wanted.project.is_empty() {
            wanted.project = chains.first().map(|(chain, _)| chain.clone()).unwrap_or_default();
        }
        let mut page = Self {
            frame,
            chains,
            rows: Vec::new(),
            older: None,
            head: None,
            checked: None,
            notice: None,
            wanted,
        };
        if page.wanted.project.is_empty() {
            return Ok(page);
        }
        let slice = piece(Some(&page.wanted.after))?;
        let found = match page.wanted.filter() {
            Ok(filter) => control.audit(&filter, &slice).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        match found {
            Ok(found) => {
                page.older = found.next.map(|next| page.wanted.from(&next));
                page.rows = found.items;
            }
            // A subject that is not there is the filter's matter.
            Err(mut failure) => {
                if failure.status == StatusCode::NOT_FOUND && !page.wanted.subject.is_empty() {
                    failure.status = StatusCode::UNPROCESSABLE_ENTITY;
                }
                page.notice = Some(Notice::of(failure)?.1);
            }
        }
        page.head = head(control, &page.wanted.project).await?;
        Ok(page)
    }

    /// Each noun's word, its name, and whether it is chosen; with whatever was
    /// chosen by an address.
    fn nouns(&self) -> Vec<(String, String, bool)> {
        let act = self.wanted.act.as_str();
        let mut nouns: Vec<_> =
            NOUNS.iter().map(|(word, name)| ((*word).to_owned(), (*name).to_owned(), *word == act)).collect();
        if !nouns.iter().any(|(.., chosen)| *chosen) {
            nouns.push((act.to_owned(), act.to_owned(), true));
        }
        nouns
    }

    /// What is about a thing, in the same chain.
    fn about(&self, subject: &impl ToString) -> String {
        address("/audit", &[("project", &self.wanted.project), ("subject", &subject.to_string())])
    }

    fn filtered(&self) -> bool {
        let Wanted { act, subject, since, after, .. } = &self.wanted;
        [act, subject, since, after].iter().any(|one| !one.is_empty())
    }
}

/// Of the projects that the visitor administers and, for who runs the
/// installation, of what belongs to none.
async fn chains(control: &Control) -> Answer<Vec<(String, String)>> {
    let named = |project: &String| (project.clone(), project.clone());
    if control.is_operator().await? {
        let mut chains: Vec<_> = projects(control).await?.iter().map(named).collect();
        chains.push((PLATFORM.to_owned(), "The installation itself".to_owned()));
        return Ok(chains);
    }
    Ok(control.projects_where(Permission::Administer).await?.iter().map(named).collect())
}

async fn head(control: &Control, project: &str) -> Answer<Option<AuditHead>> {
    let name = Some(project).filter(|project| *project != PLATFORM);
    let chains = control.audit_chains().await?.items;
    Ok(chains.into_iter().find(|chain| chain.name.as_deref() == name).map(|chain| chain.head))
}

/// `GET /audit`
pub(crate) async fn list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Answer<Response> {
    let page = AuditPage::load(&state, visitor.frame("/audit"), wanted).await?;
    let status = if page.notice.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    html_with(status, &page)
}

#[derive(Deserialize)]
pub(crate) struct Chain {
    project: String,
}

/// `POST /audit/verify`: nothing is changed, but it takes a while.
pub(crate) async fn verify(Bound(state): Bound, posted: Posted<Chain>) -> Result<Response, Turned> {
    let frame = posted.frame("/audit");
    let project = posted.form.project;
    let checked = check(&state.control, &project).await?;
    let wanted = Wanted { project, ..Wanted::default() };
    let page = AuditPage { checked: Some(checked), ..AuditPage::load(&state, frame, wanted).await? };
    Ok(html(&page)?)
}

async fn check(control: &Control, project: &str) -> Answer<Checked> {
    let known = control.audit_chains().await?;
    let name = Some(project).filter(|project| *project != PLATFORM);
    let chain = known.items.into_iter().find(|chain| chain.name.as_deref() == name);
    let keys: Vec<String> = known.key.into_iter().collect();
    let kept: Vec<AuditHead> = chain.map(|chain| chain.head).into_iter().collect();
    let mut verifier = Verifier::new(kept.first().and_then(|head| head.project), &keys, &kept);
    let mut after = 0;
    for _ in 0..MOST_PIECES {
        let blocks = control.audit_blocks(project, after).await?;
        for sealed in &blocks.items {
            verifier.block(&sealed.block, &sealed.rows);
            after = sealed.block.head.block;
        }
        if !blocks.more {
            verifier.strays(&blocks.strays);
            return Ok(Checked::Whole(Box::new(verifier.end(blocks.unsealed))));
        }
    }
    Ok(Checked::TooLong)
}

/// Who did it, for people.
fn who(row: &AuditRow) -> String {
    if let Some(name) = &row.actor_name {
        return name.clone();
    }
    match row.actor.split_once(':') {
        Some((kind, id)) => format!("{kind} {}", id.get(id.len().saturating_sub(8)..).unwrap_or(id)),
        None => row.actor.clone(),
    }
}

/// Through what, with who did it before it.
fn through(row: &AuditRow) -> &'static str {
    match row.via.as_str() {
        "session" => "in the console",
        "api_key" => "by API key",
        "worker" => "as a worker",
        "schedule" => "on a schedule",
        "platform" => "on its own",
        "sql" => "past Heddle, by SQL",
        _ => "",
    }
}

/// `Tenant changed`
fn act(row: &AuditRow) -> String {
    let (table, verb) = row.act.split_once('.').unwrap_or((&row.act, ""));
    let noun = match table {
        "refused" => "Refused",
        "api_keys" => "API key",
        "policies" => "Policy",
        "env_permissions" => "Grant",
        "project_members" => "Member",
        other => {
            return super::sentence(&format!("{} {verb}", singular(other))).trim_end_matches('.').to_owned();
        }
    };
    format!("{noun} {verb}").trim_end().to_owned()
}

fn singular(table: &str) -> String {
    table.strip_suffix('s').unwrap_or(table).replace('_', " ")
}

/// What it was before and is now, or what was told.
fn told(row: &AuditRow) -> Vec<(String, String)> {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let Value::Object(members) = &row.detail else {
        return vec![("what".to_owned(), plain(&row.detail))];
    };
    let changed = row.act.ends_with(".changed");
    let told = members.iter().map(|(name, value)| match value {
        Value::Array(pair) if changed && pair.len() == 2 => {
            (name.replace('_', " "), format!("{} → {}", plain(&pair[0]), plain(&pair[1])))
        }
        value => (name.replace('_', " "), plain(value)),
    });
    told.collect()
}

/// What of it says most, on a line: no ids, times and counters, if there is
/// anything else.
fn briefly(row: &AuditRow) -> String {
    let dull = |name: &str| {
        name.ends_with(" id")
            || name.ends_with(" at")
            || ["version", "requester", "cancel requested"].contains(&name)
    };
    let mut told = told(row);
    if told.iter().any(|(name, _)| !dull(name)) {
        told.retain(|(name, _)| !dull(name));
    }
    let told: Vec<_> = told.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    let text = told.join(", ");
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

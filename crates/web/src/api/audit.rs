use axum::Json as Answered;
use control::AuditFilter;
use jiff::Timestamp;
use protocol::api::Page;
use protocol::audit::{AuditBlocks, AuditChains, AuditRow};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Query};
use crate::failure::{Answer, Failure};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this project's, by its name or id; `-`: only what belongs to none.
    #[param(pattern = "^(-|[a-z0-9][a-z0-9-]{0,62})$")]
    pub project: Option<String>,
    /// Only this act, such as `tenants.changed`, or all of one table, such as `tenants`.
    #[param(pattern = "^[a-z_]{1,63}([.][a-z]{1,20})?$")]
    pub act: Option<String>,
    /// Only what is about this: an id, or a tenant's name.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub subject: Option<String>,
    /// Only what was done at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

fn names_an_act(text: &str) -> bool {
    let (table, verb) = text.split_once('.').unwrap_or((text, "changed"));
    (1..=63).contains(&table.len())
        && table.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && (1..=20).contains(&verb.len())
        && verb.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Changes of state, newest first: who made them, from where and through what,
/// and the run that led to them. Of the projects that the caller administers.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit",
    params(Filter, Cut), responses((status = 200, body = Page<AuditRow>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(filter): Query<Filter>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<AuditRow>>> {
    let Filter { project, act, subject, since } = filter;
    if act.as_deref().is_some_and(|act| !names_an_act(act)) {
        return Err(Failure::invalid("the act is neither one nor a table's name")
            .hint("Such as tenants.changed, or tenants for all that happened to them."));
    }
    let filter = AuditFilter { project, act, subject, since };
    Ok(Answered(control.audit(&filter, &cut.slice()?).await?))
}

/// The signed head of each chain that the caller may read. Kept elsewhere, it
/// shows later whether the chain is still the same.
#[utoipa::path(get, path = "/api/v1/audit/chains", tag = "audit", operation_id = "list_audit_chains",
    responses((status = 200, body = AuditChains), Refused))]
pub async fn chains(Acting(control): Acting) -> Answer<Answered<AuditChains>> {
    Ok(Answered(control.audit_chains().await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct From {
    /// Whose chain: a project's name or id; `-`: of what belongs to none.
    #[param(pattern = "^(-|[a-z0-9][a-z0-9-]{0,62})$")]
    pub project: String,
    /// Only blocks with a greater number.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 0)]
    pub after: i64,
}

/// A chain's blocks, with the rows that are in their ranges now: whoever reads
/// them all can check them against each other, as `heddle audit verify` does.
#[utoipa::path(get, path = "/api/v1/audit/blocks", tag = "audit", operation_id = "list_audit_blocks",
    params(From), responses((status = 200, body = AuditBlocks), Refused))]
pub async fn blocks(Acting(control): Acting, Query(from): Query<From>) -> Answer<Answered<AuditBlocks>> {
    if from.after < 0 {
        return Err(Failure::invalid("after is the number of a block: 0 or more"));
    }
    Ok(Answered(control.audit_blocks(&from.project, from.after).await?))
}

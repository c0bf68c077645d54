//! Policies: which acts take the approval of others.

use database::policy::{Place, Terms};
use model::access::{Permission, Role};
use model::policy::{Act, EXPIRES_AFTER};
use model::{PolicyId, ProjectId};
use protocol::api::{NewPolicy, Policy, PolicyTerms};

use crate::approval::{Doing, use_up};
use crate::{Control, Kind, Refusal, Result};

/// Who approves unless a policy says otherwise.
const ROLES: &[Role] = &[Role::Owner, Role::Admin];

impl Control {
    /// All, or one project's.
    pub async fn policies(&self, project: Option<&str>) -> Result<Vec<Policy>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        Ok(database::policy::list(&database, project).await?.into_iter().map(shown).collect())
    }

    pub async fn policy(&self, policy: PolicyId) -> Result<Policy> {
        get(&self.database().await?, policy).await.map(shown)
    }

    pub async fn create_policy(&self, new: NewPolicy) -> Result<Policy> {
        let NewPolicy { approvals, expires_after, .. } = new;
        let terms = terms(&PolicyTerms { approvals, roles: new.roles.clone(), expires_after })?;
        let mut connection = self.database().await?;
        let project = crate::project::find(&connection, &new.project).await?;
        self.permit_policies(&connection, project.id, &project.name).await?;
        let place = match (&new.environment, new.stage) {
            (Some(name), None) => {
                let found =
                    crate::environment::find(&connection, &format!("{}/{name}", project.name)).await?;
                Place::Environment(found.id)
            }
            (None, Some(stage)) => Place::Stage(stage),
            (None, None) => Place::Everywhere,
            (Some(_), Some(_)) => {
                return Err(Refusal::invalid("a policy holds in one environment or in those of a stage")
                    .hint("name one of the two, or none for the whole project")
                    .into());
            }
        };
        if new.act == Act::ChangePolicy && place != Place::Everywhere {
            return Err(Refusal::invalid("policies are a whole project's")
                .hint("leave out stage and environment for change_policy")
                .into());
        }
        let summary =
            format!("ask {} in {}", in_words(new.act, place, &new.environment, &terms), project.name);
        let approval = self.granted(&connection, &doing(project.id, &summary)).await?;
        let id = PolicyId::new();
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        match database::policy::insert(&transaction, id, project.id, new.act, place, &terms).await {
            Ok(()) => {}
            Err(error) if error.taken().is_some() => {
                let detail = format!("{} has a policy for {} there already", project.name, new.act);
                return Err(Refusal::new(Kind::Taken, detail).hint("change that one, or remove it").into());
            }
            Err(error) => return Err(error.into()),
        }
        database::commit(transaction).await?;
        get(&connection, id).await.map(shown)
    }

    /// `expected` is the version that must be there now.
    pub async fn change_policy(
        &self,
        policy: PolicyId,
        new: PolicyTerms,
        expected: Option<i64>,
    ) -> Result<Policy> {
        let terms = terms(&new)?;
        let mut connection = self.database().await?;
        let found = get(&connection, policy).await?;
        self.permit_policies(&connection, found.project_id, &found.project).await?;
        let asks = in_words(found.act, found.place, &found.environment, &terms);
        let summary = format!("ask {asks} in {}", found.project);
        let approval = self.granted(&connection, &doing(found.project_id, &summary)).await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        if !database::policy::update(&transaction, policy, expected, &terms).await? {
            return Err(changed(policy));
        }
        database::commit(transaction).await?;
        get(&connection, policy).await.map(shown)
    }

    pub async fn remove_policy(&self, policy: PolicyId, expected: Option<i64>) -> Result<()> {
        let mut connection = self.database().await?;
        let found = get(&connection, policy).await?;
        self.permit_policies(&connection, found.project_id, &found.project).await?;
        let place = place_in_words(found.place, &found.environment);
        let summary = format!("remove the policy for {}{place} of {}", found.act, found.project);
        let approval = self.granted(&connection, &doing(found.project_id, &summary)).await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        if !database::policy::remove(&transaction, policy, expected).await? {
            return Err(changed(policy));
        }
        Ok(database::commit(transaction).await?)
    }

    async fn permit_policies(&self, on: &impl database::On, project: ProjectId, name: &str) -> Result<()> {
        let what = format!("change the policies of {name}");
        self.permit(on, project, name, Permission::Administer, &what).await
    }
}

fn doing(project: ProjectId, summary: &str) -> Doing<'_> {
    // What is to be is in the words.
    Doing { act: Act::ChangePolicy, project, environment: None, subject: summary.to_owned(), summary }
}

/// `2 approvals of owner or admin for restore in production`
fn in_words(act: Act, place: Place, environment: &Option<String>, terms: &Terms) -> String {
    let roles: Vec<&str> = terms.roles.iter().map(|role| role.as_str()).collect();
    let place = place_in_words(place, environment);
    format!(
        "{} approvals of {} within {} s for {act}{place}",
        terms.approvals,
        roles.join(" or "),
        terms.expires_after
    )
}

fn place_in_words(place: Place, environment: &Option<String>) -> String {
    match (place, environment) {
        (Place::Environment(_), Some(name)) => format!(" in the environment {name}"),
        (Place::Stage(stage), _) => format!(" in {stage}"),
        _ => String::new(),
    }
}

fn terms(new: &PolicyTerms) -> Result<Terms, Refusal> {
    if !(0..=10).contains(&new.approvals) {
        return Err(Refusal::invalid(format!("{} approvals are not 0 to 10", new.approvals)));
    }
    let expires_after = new.expires_after.unwrap_or(EXPIRES_AFTER);
    if !(60..=30 * 24 * 60 * 60).contains(&expires_after) {
        return Err(Refusal::invalid(format!("{expires_after} s are not a minute to 30 days")));
    }
    let mut roles = new.roles.clone().unwrap_or_else(|| ROLES.to_vec());
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() {
        return Err(Refusal::invalid("a policy needs a role whose approval it asks for")
            .hint("owner and admin are those unless others are named"));
    }
    Ok(Terms { approvals: new.approvals, roles, expires_after })
}

async fn get(on: &impl database::On, policy: PolicyId) -> Result<database::policy::Policy> {
    database::policy::get(on, policy)
        .await?
        .ok_or_else(|| Refusal::not_found("policy", policy).hint("`heddle policy list` shows them").into())
}

fn changed(policy: PolicyId) -> crate::Error {
    Refusal::new(Kind::Changed, format!("the policy {policy} was changed by somebody else"))
        .hint("look at it again, and decide anew")
        .into()
}

fn shown(policy: database::policy::Policy) -> Policy {
    Policy {
        id: policy.id.0,
        project: policy.project,
        act: policy.act,
        environment: policy.environment,
        stage: if let Place::Stage(stage) = policy.place { Some(stage) } else { None },
        approvals: policy.terms.approvals,
        roles: policy.terms.roles,
        expires_after: policy.terms.expires_after,
        version: policy.version,
        created_at: policy.created_at,
    }
}

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use database::On;
use model::access::Role;
use model::{ProjectId, Slug};
use protocol::api::{NewProject, Page, Project};

use crate::once::Once;
use crate::permit::missed;
use crate::{Asked, Control, Kind, Refusal, Result, Slice};

impl Control {
    /// Whoever makes it owns it.
    pub async fn create_project(&self, asked: &Asked, new: NewProject) -> Result<Project> {
        let name: Slug = new.name.parse()?;
        let once = Once::new(asked, "project", "", &new)?;
        let mut connection = self.database().await?;
        self.permit_operator(&connection, "make projects").await?;
        if let Some(made) = once.made(&connection).await? {
            return find(&connection, &made.to_string()).await.map(shown);
        }
        let user = connection.claims().user;
        let id = ProjectId::new();
        let transaction = database::begin(&mut connection).await?;
        let fault = match database::project::insert(&transaction, id, &name).await {
            Ok(project) => {
                if let Some(user) = user {
                    database::member::set(&transaction, project.id, user, Role::Owner, None).await?;
                }
                if once.keep(&transaction, id.0).await? {
                    database::commit(transaction).await?;
                    return Ok(shown(project));
                }
                None
            }
            Err(error) => Some(error),
        };
        drop(transaction);
        // The same request may have been quicker than itself.
        match (once.made(&connection).await?, fault) {
            (Some(made), _) => find(&connection, &made.to_string()).await.map(shown),
            (None, Some(error)) if error.taken().is_none() => Err(error.into()),
            (None, _) => {
                let detail = format!("a project named {:?} is there already", name.as_str());
                Err(Refusal::new(Kind::Taken, detail).hint("choose another name, or use that project").into())
            }
        }
    }

    /// By name.
    pub async fn projects(&self, slice: &Slice<Slug>) -> Result<Page<Project>> {
        let after = slice.after.as_ref().map(Slug::as_str);
        let projects = database::project::list(&self.database().await?, after, slice.rows()).await?;
        Ok(slice.page(projects.into_iter().map(shown).collect(), |project| project.name.clone()))
    }

    /// `project` is a name or an id.
    pub async fn project(&self, project: &str) -> Result<Project> {
        find(&self.database().await?, project).await.map(shown)
    }
}

/// Which project a name stands for, whoever may see it. Projects keep their
/// names and are never removed; who uses this has the database decide.
#[derive(Default)]
pub(crate) struct Known(RwLock<HashMap<String, ProjectId>>);

impl Known {
    pub(crate) fn get(&self, name: &str) -> Option<ProjectId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    pub(crate) fn keep(&self, name: &str, id: ProjectId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), id);
    }
}

pub(crate) async fn find(on: &impl On, project: &str) -> Result<database::project::Project> {
    match database::project::find(on, project).await? {
        Some(found) => Ok(found),
        None => {
            missed(on, "project", project).await?;
            Err(Refusal::not_found("project", project).hint("`heddle project list` shows them").into())
        }
    }
}

fn shown(project: database::project::Project) -> Project {
    Project { id: project.id.0, name: project.name, created_at: project.created_at }
}

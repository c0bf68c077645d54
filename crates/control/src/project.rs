use database::On;
use model::access::Role;
use model::{ProjectId, Slug};
use protocol::api::{NewProject, Project};

use crate::permit::missed;
use crate::{Control, Kind, Refusal, Result};

impl Control {
    /// Whoever makes it owns it.
    pub async fn create_project(&self, new: NewProject) -> Result<Project> {
        let name: Slug = new.name.parse()?;
        let mut connection = self.database().await?;
        self.permit_operator(&connection, "make projects").await?;
        let user = connection.claims().user;
        let transaction = database::begin(&mut connection).await?;
        match database::project::insert(&transaction, ProjectId::new(), &name).await {
            Ok(project) => {
                if let Some(user) = user {
                    database::member::set(&transaction, project.id, user, Role::Owner, None).await?;
                }
                database::commit(transaction).await?;
                Ok(shown(project))
            }
            Err(error) if error.taken().is_some() => Err(Refusal::new(
                Kind::Taken,
                format!("a project named {:?} is there already", name.as_str()),
            )
            .hint("choose another name, or use that project")
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// By name.
    pub async fn projects(&self) -> Result<Vec<Project>> {
        let projects = database::project::list(&self.database().await?).await?;
        Ok(projects.into_iter().map(shown).collect())
    }

    /// `project` is a name or an id.
    pub async fn project(&self, project: &str) -> Result<Project> {
        find(&self.database().await?, project).await.map(shown)
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

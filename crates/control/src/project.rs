use model::{ProjectId, Slug};
use protocol::api::{NewProject, Page, Project};

use crate::{Control, Kind, Refusal, Result, Slice};

impl Control {
    pub async fn create_project(&self, new: NewProject) -> Result<Project> {
        let name: Slug = new.name.parse()?;
        let database = self.database().await?;
        match database::project::insert(&database, ProjectId::new(), &name).await {
            Ok(project) => Ok(shown(project)),
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

pub(crate) async fn find(on: &impl database::On, project: &str) -> Result<database::project::Project> {
    database::project::find(on, project)
        .await?
        .ok_or_else(|| Refusal::not_found("project", project).hint("`heddle project list` shows them").into())
}

fn shown(project: database::project::Project) -> Project {
    Project { id: project.id.0, name: project.name, created_at: project.created_at }
}

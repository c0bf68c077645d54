use model::project::BuildState;
use model::{BuildId, EnvironmentId, EnvironmentPath, Slug};
use protocol::api::{Environment, NewEnvironment, Page};

use crate::{Control, Kind, Refusal, Result, Slice};

impl Control {
    /// Its build must be a ready one of the project.
    pub async fn create_environment(&self, new: NewEnvironment) -> Result<Environment> {
        let name: Slug = new.name.parse()?;
        let database = self.database().await?;
        let project = crate::project::find(&database, &new.project).await?;
        let build = match new.build {
            Some(build) => {
                let build = crate::build::find(&database, BuildId(build)).await?;
                if build.project_id != project.id {
                    let detail = format!(
                        "the build {} is one of the project {}, not of {}",
                        build.id, build.project, project.name
                    );
                    return Err(Refusal::invalid(detail).into());
                }
                if build.state != BuildState::Ready {
                    let detail = format!("the build {} is {}, not ready", build.id, build.state);
                    return Err(Refusal::wrong_state(detail).hint("wait for its run, or build again").into());
                }
                build.id
            }
            None => database::build::newest_ready(&database, project.id).await?.ok_or_else(|| {
                Refusal::wrong_state(format!("the project {} has no ready build", project.name))
                    .hint("make a build of it first, and wait for its run")
            })?,
        };
        let id = EnvironmentId::new();
        match database::environment::insert(&database, id, project.id, &name, new.stage, build).await {
            Ok(()) => {}
            Err(error) if error.taken() == Some("environments_one_production") => {
                let detail = format!("the project {} has a production environment already", project.name);
                return Err(Refusal::new(Kind::Taken, detail)
                    .hint("a project has one; choose the stage staging or development")
                    .into());
            }
            Err(error) if error.taken().is_some() => {
                let detail = format!("there is an environment {}/{name} already", project.name);
                return Err(Refusal::new(Kind::Taken, detail).hint("choose another name").into());
            }
            Err(error) => return Err(error.into()),
        }
        find(&database, &id.to_string()).await.map(shown)
    }

    /// All, or one project's; by their names as `PROJECT/NAME`.
    pub async fn environments(
        &self,
        project: Option<&str>,
        slice: &Slice<EnvironmentPath>,
    ) -> Result<Page<Environment>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let after = slice.after.as_ref().map(|after| (after.project.as_str(), after.name.as_str()));
        let environments = database::environment::list(&database, project, after, slice.rows()).await?;
        Ok(slice.page(environments.into_iter().map(shown).collect(), |environment| {
            format!("{}/{}", environment.project, environment.name)
        }))
    }

    /// `environment` is `PROJECT/NAME` or an id.
    pub async fn environment(&self, environment: &str) -> Result<Environment> {
        find(&self.database().await?, environment).await.map(shown)
    }
}

pub(crate) async fn find(
    on: &impl database::On,
    environment: &str,
) -> Result<database::environment::Environment> {
    database::environment::find(on, environment).await?.ok_or_else(|| {
        Refusal::not_found("environment", environment)
            .hint("name it as PROJECT/ENVIRONMENT; `heddle env list` shows them")
            .into()
    })
}

fn shown(environment: database::environment::Environment) -> Environment {
    Environment {
        id: environment.id.0,
        project: environment.project,
        name: environment.name,
        stage: environment.stage,
        build: environment.build_id.0,
        created_at: environment.created_at,
    }
}

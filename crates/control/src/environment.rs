use model::access::Permission;
use model::policy::Act;
use model::project::{BuildState, Stage};
use model::{BuildId, EnvironmentId, Slug};
use protocol::api::{Environment, NewEnvironment};

use crate::approval::{Doing, use_up};
use crate::permit::missed;
use crate::{Control, Kind, Refusal, Result};

impl Control {
    /// Its build must be a ready one of the project.
    pub async fn create_environment(&self, new: NewEnvironment) -> Result<Environment> {
        let name: Slug = new.name.parse()?;
        let database = self.database().await?;
        let project = crate::project::find(&database, &new.project).await?;
        let (needed, what) = match new.stage {
            Stage::Production => (Permission::Operate, "make the production environment"),
            _ => (Permission::Develop, "make environments"),
        };
        let what = format!("{what} of {}", project.name);
        self.permit(&database, project.id, &project.name, needed, &what).await?;
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

    /// Ends it and archives its tenants. For production, `confirmed_name` must
    /// be its name. Refused while one of its tenants is being made or restored.
    pub async fn destroy_environment(
        &self,
        environment: &str,
        confirmed_name: Option<&str>,
    ) -> Result<Environment> {
        let mut connection = self.database().await?;
        let found = find(&connection, environment).await?;
        let place = format!("{}/{}", found.project, found.name);
        if found.stage == Stage::Production && confirmed_name != Some(&found.name) {
            return Err(Refusal::invalid(format!("{place} is production, and its name was not given"))
                .hint("its tenants go out of service for good; give its name to confirm")
                .into());
        }
        let summary = format!("destroy the environment {place}");
        self.permit_in(&connection, found.id, &place, Permission::Develop, &summary).await?;
        let approval = self
            .granted(
                &connection,
                &Doing {
                    act: Act::DestroyEnvironment,
                    project: found.project_id,
                    environment: Some(found.id),
                    subject: found.id.to_string(),
                    summary: &summary,
                },
            )
            .await?;
        let transaction = database::begin(&mut connection).await?;
        use_up(&transaction, approval).await?;
        // From here on no tenant is made in it.
        database::environment::archive(&transaction, found.id).await?;
        for tenant in database::tenant::list(&transaction, Some(found.id)).await? {
            let reason = "its environment was destroyed";
            crate::tenant::archive(&transaction, &tenant, reason).await?;
        }
        database::commit(transaction).await?;
        self.routed();
        self.told();
        find(&connection, &found.id.to_string()).await.map(shown)
    }

    /// All, or one project's.
    pub async fn environments(&self, project: Option<&str>) -> Result<Vec<Environment>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let environments = database::environment::list(&database, project).await?;
        Ok(environments.into_iter().map(shown).collect())
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
    match database::environment::find(on, environment).await? {
        Some(found) => Ok(found),
        None => {
            missed(on, "environment", environment).await?;
            Err(Refusal::not_found("environment", environment)
                .hint("name it as PROJECT/ENVIRONMENT; `heddle env list` shows them")
                .into())
        }
    }
}

fn shown(environment: database::environment::Environment) -> Environment {
    Environment {
        id: environment.id.0,
        project: environment.project,
        name: environment.name,
        stage: environment.stage,
        build: environment.build_id.0,
        created_at: environment.created_at,
        archived_at: environment.archived_at,
    }
}

use model::access::Permission;
use model::policy::Act;
use model::project::{BuildState, Stage};
use model::{BuildId, EnvironmentId, EnvironmentPath, ProjectId, Slug};
use protocol::api::{ChangeEnvironment, Environment, NewEnvironment, Page};

use crate::approval::{Doing, use_up};
use crate::once::Once;
use crate::permit::missed;
use crate::{Asked, Control, Kind, Refusal, Result, Slice};

impl Control {
    /// Its build must be a ready one of the project.
    pub async fn create_environment(&self, asked: &Asked, new: NewEnvironment) -> Result<Environment> {
        let name: Slug = new.name.parse()?;
        let once = Once::new(asked, "environment", "", &new)?;
        let mut database = self.database().await?;
        let project = crate::project::find(&database, &new.project).await?;
        let (needed, what) = match new.stage {
            Stage::Production => (Permission::Operate, "make the production environment"),
            _ => (Permission::Develop, "make environments"),
        };
        let what = format!("{what} of {}", project.name);
        self.permit(&database, project.id, &project.name, needed, &what).await?;
        if let Some(made) = once.made(&database).await? {
            return find(&database, &made.to_string()).await.map(shown);
        }
        let build = match new.build {
            Some(build) => ready_build(&database, BuildId(build), project.id, &project.name).await?,
            None => database::build::newest_ready(&database, project.id).await?.ok_or_else(|| {
                Refusal::wrong_state(format!("the project {} has no ready build", project.name))
                    .hint("make a build of it first, and wait for its run")
            })?,
        };
        let id = EnvironmentId::new();
        let transaction = database::begin(&mut database).await?;
        let insert = database::environment::insert(&transaction, id, project.id, &name, new.stage, build);
        let taken = match insert.await {
            Ok(()) if once.keep(&transaction, id.0).await? => {
                database::commit(transaction).await?;
                return find(&database, &id.to_string()).await.map(shown);
            }
            Ok(()) => None,
            Err(error) => match error.taken().map(str::to_owned) {
                None => return Err(error.into()),
                taken => taken,
            },
        };
        drop(transaction);
        // The same request may have been quicker than itself.
        if let Some(made) = once.made(&database).await? {
            return find(&database, &made.to_string()).await.map(shown);
        }
        if taken.as_deref() == Some("environments_one_production") {
            let detail = format!("the project {} has a production environment already", project.name);
            return Err(Refusal::new(Kind::Taken, detail)
                .hint("a project has one; choose the stage staging or development")
                .into());
        }
        let detail = format!("there is an environment {}/{name} already", project.name);
        Err(Refusal::new(Kind::Taken, detail).hint("choose another name").into())
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
        let all = database::tenant::list(&transaction, Some(found.id), None, i64::MAX).await?;
        for tenant in all {
            let reason = "its environment was destroyed";
            crate::tenant::archive(&transaction, &tenant, reason).await?;
        }
        database::commit(transaction).await?;
        self.routed();
        self.told();
        find(&connection, &found.id.to_string()).await.map(shown)
    }

    /// Gives it another build, if it is still at `version` (None: whatever it
    /// is). Only while no tenant runs the one it has.
    pub async fn change_environment(
        &self,
        environment: &str,
        version: Option<i64>,
        change: &ChangeEnvironment,
    ) -> Result<Environment> {
        let mut connection = self.database().await?;
        let found = find(&connection, environment).await?;
        let name = format!("{}/{}", found.project, found.name);
        let what = format!("change {name}");
        self.permit_in(&connection, found.id, &name, Permission::Develop, &what).await?;
        let build = ready_build(&connection, BuildId(change.build), found.project_id, &found.project).await?;
        let transaction = database::begin(&mut connection).await?;
        let now = database::environment::lock(&transaction, found.id).await?;
        Refusal::check_version(&name, version, now.unwrap_or(found.version))?;
        let tenants = database::environment::tenants(&transaction, found.id).await?;
        if tenants > 0 && build != found.build_id {
            let detail = format!("{name} has {tenants} tenants that run its build");
            return Err(Refusal::wrong_state(detail)
                .hint("make another environment with the new build, and new tenants in it")
                .into());
        }
        if !database::environment::set_build(&transaction, found.id, build).await? {
            return Err(Refusal::not_found("environment", name).into());
        }
        database::commit(transaction).await?;
        find(&connection, &found.id.to_string()).await.map(shown)
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

/// A build that environments of the project can have.
async fn ready_build(
    on: &impl database::On,
    build: BuildId,
    project: ProjectId,
    name: &str,
) -> Result<BuildId> {
    let build = crate::build::find(on, build).await?;
    if build.project_id != project {
        let detail = format!("the build {} is one of the project {}, not of {name}", build.id, build.project);
        return Err(Refusal::invalid(detail).into());
    }
    if build.state != BuildState::Ready {
        let detail = format!("the build {} is {}, not ready", build.id, build.state);
        return Err(Refusal::wrong_state(detail).hint("wait for its run, or build again").into());
    }
    Ok(build.id)
}

fn shown(environment: database::environment::Environment) -> Environment {
    Environment {
        id: environment.id.0,
        project: environment.project,
        name: environment.name,
        stage: environment.stage,
        build: environment.build_id.0,
        version: environment.version,
        created_at: environment.created_at,
        archived_at: environment.archived_at,
    }
}

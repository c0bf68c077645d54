use database::run::About;
use model::BuildId;
use model::access::Permission;
use protocol::api::{Build, NewBuild, Page};
use protocol::internal::BuildWork;
use serde_json::json;

use crate::once::{Once, Queued};
use crate::permit::missed;
use crate::{Asked, Control, Refusal, Result, Slice};

const LONGEST_PATH: usize = 4000;
const MOST_ADDONS: usize = 100;
const MOST_MODULES: usize = 1000;

impl Control {
    /// Queues the run that makes its template.
    pub async fn create_build(&self, asked: &Asked, new: NewBuild) -> Result<Build> {
        check(&new)?;
        let once = Once::new(asked, "build", "", &new)?;
        let mut connection = self.database().await?;
        let build = match once.before(&connection).await? {
            Some(run) => built_by(&run)?,
            None => {
                let project = crate::project::find(&connection, &new.project).await?;
                let what = format!("make builds of {}", project.name);
                self.permit(&connection, project.id, &project.name, Permission::Develop, &what).await?;
                let id = BuildId::new();
                let insert = database::build::NewBuild {
                    id,
                    project: project.id,
                    odoo: &new.odoo,
                    python: new.python.as_deref(),
                    addons: &new.addons,
                    modules: &new.modules,
                };
                let transaction = database::begin(&mut connection).await?;
                database::build::insert(&transaction, &insert).await?;
                match once.queue(&transaction, project.id, About::Build(id), json!({})).await? {
                    Queued::Before(run) => built_by(&run)?,
                    _ => {
                        database::commit(transaction).await?;
                        self.queued();
                        id
                    }
                }
            }
        };
        shown(find(&connection, build).await?)
    }

    /// All, or one project's; newest first.
    pub async fn builds(&self, project: Option<&str>, slice: &Slice<BuildId>) -> Result<Page<Build>> {
        let database = self.database().await?;
        let project = match project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let builds = database::build::list(&database, project, slice.after, slice.rows()).await?;
        let builds: Result<Vec<Build>> = builds.into_iter().map(shown).collect();
        Ok(slice.page(builds?, |build| build.id.to_string()))
    }

    pub async fn build(&self, build: BuildId) -> Result<Build> {
        shown(find(&self.database().await?, build).await?)
    }
}

pub(crate) async fn find(on: &impl database::On, build: BuildId) -> Result<database::build::Build> {
    match database::build::find(on, build).await? {
        Some(found) => Ok(found),
        None => {
            missed(on, "build", &build.to_string()).await?;
            Err(Refusal::not_found("build", build).into())
        }
    }
}

pub(crate) fn work(build: database::build::Build) -> BuildWork {
    BuildWork {
        build: build.id,
        odoo: build.odoo,
        python: build.python,
        addons: build.addons,
        modules: build.modules,
    }
}

/// What can be told without looking at the host's files, which the run does.
fn check(new: &NewBuild) -> Result<(), Refusal> {
    let paths = [Some(&new.odoo), new.python.as_ref()].into_iter().flatten().chain(&new.addons);
    for path in paths {
        if !path.starts_with('/') || path.contains('\0') {
            return Err(Refusal::invalid(format!("the path {path:?} is not absolute"))
                .hint("name it from / on, as it is on the worker's host"));
        }
        if path.chars().count() > LONGEST_PATH {
            return Err(Refusal::invalid(format!("a path is longer than {LONGEST_PATH} characters")));
        }
    }
    if new.addons.len() > MOST_ADDONS {
        return Err(Refusal::invalid(format!("there are more than {MOST_ADDONS} addons folders"))
            .hint("put them into fewer folders"));
    }
    if new.modules.len() > MOST_MODULES {
        return Err(Refusal::invalid(format!("there are more than {MOST_MODULES} modules"))
            .hint("what others depend on comes with them"));
    }
    if new.modules.is_empty() {
        return Err(Refusal::invalid("a build needs at least one module").hint("`base` is always there"));
    }
    for module in &new.modules {
        let good = !module.is_empty()
            && module.len() <= 100
            && module.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            return Err(Refusal::invalid(format!("{module:?} is not the name of an Odoo module"))
                .hint("module names are letters, digits and _"));
        }
    }
    Ok(())
}

fn built_by(run: &database::run::Run) -> Result<BuildId> {
    run.build_id.ok_or_else(|| Refusal::not_found("build of the run", run.id).into())
}

fn shown(build: database::build::Build) -> Result<Build> {
    let run = crate::run::of(build.run_id, "build", build.id)?;
    Ok(Build {
        id: build.id.0,
        project: build.project,
        state: build.state,
        odoo: build.odoo,
        modules: build.modules,
        odoo_version: build.odoo_version,
        run: run.0,
        created_at: build.created_at,
    })
}

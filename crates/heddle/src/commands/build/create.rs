use std::path::PathBuf;

use clap::Args;
use protocol::api::NewBuild;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Make a build: check an Odoo tree and initialise a template from it
///
/// Every tenant of the build starts as a copy of its template.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    heddle build create demo --odoo /opt/odoo-18 --modules base,web,contacts\n  \
    heddle build create demo --odoo /opt/odoo11-venv --addons ./addons --modules base,web,my_module")]
pub struct Create {
    /// The project it is for
    project: String,
    /// An Odoo source tree, or a virtual environment with Odoo in it, on the worker's host
    #[arg(long, value_name = "PATH")]
    odoo: PathBuf,
    /// The Python that runs it [default: the virtual environment's, or /usr/bin/python3]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A further addons folder; may be given several times
    #[arg(long, value_name = "PATH")]
    addons: Vec<PathBuf>,
    /// The modules that every tenant starts with
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "base,web")]
    modules: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

/// The worker may run in another folder, so paths are sent whole. Links are
/// kept: a virtual environment's python is one.
fn absolute(path: &std::path::Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path)
        .map_err(|error| Failure::while_trying(format!("find {}", path.display()), &error))?;
    whole
        .into_os_string()
        .into_string()
        .map_err(|path| Failure::usage(format!("the path {} is not UTF-8", path.display())))
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewBuild {
            project: self.project,
            odoo: absolute(&self.odoo)?,
            python: self.python.as_deref().map(absolute).transpose()?,
            addons: self.addons.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
            modules: self.modules,
        };
        let api = context.api()?;
        let mut build = api.create_build(&new).await?;
        if self.wait.wanted() {
            context.follow(&api, build.run, "the build").await?;
            build = api.build(build.id).await?;
        }
        context.output.result(&build, super::show::text)
    }
}

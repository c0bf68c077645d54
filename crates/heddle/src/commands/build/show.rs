use clap::Args;
use protocol::api::Build;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::facts;
use crate::time::local;

/// Show a build
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle build show 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Show {
    /// Its id, as `heddle build list` shows it
    id: Uuid,
}

impl Show {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let build = context.api()?.build(self.id).await?;
        context.output.result(&build, text)
    }
}

pub fn text(build: &Build) -> String {
    facts([
        ("build", build.id.to_string()),
        ("project", build.project.clone()),
        ("state", build.state.to_string()),
        ("odoo", build.odoo.clone()),
        ("version", build.odoo_version.clone().unwrap_or_default()),
        ("modules", build.modules.join(",")),
        ("run", build.run.to_string()),
        ("created", local(build.created_at)),
    ])
}

mod restore;
mod verify;

use std::path::{Path, PathBuf};

use ::archive::{OpenError, Repository};
use clap::{Args, Subcommand};
use model::TenantId;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// The repository of all tenants' history, by itself: control need not run
#[derive(Debug, Subcommand)]
pub enum Command {
    Verify(verify::Verify),
    Restore(restore::Restore),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Verify(command) => command.run(context).await,
            Self::Restore(command) => command.run(context).await,
        }
    }
}

#[derive(Debug, Args)]
struct Place {
    /// The repository's folder [HEDDLE_REPOSITORY; default: `repository` in the data folder]
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
}

impl Place {
    fn open(&self, context: &Context) -> Result<Repository, Failure> {
        let root = self.repository.as_deref().unwrap_or(&context.settings.repository);
        Repository::open(root).map_err(|error| match error {
            OpenError::Missing(_) => Failure::new(Exit::Refused, "no-repository", error.to_string())
                .hint("name the repository's folder with --repository"),
            error => reading(root, &error),
        })
    }
}

fn reading(root: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::while_trying(format!("read the repository at {}", root.display()), error)
        .hint("the repository belongs to the worker's user: run this as that user, or as root")
}

/// A tenant by its id, or by its database's name. The repository knows no
/// other names.
async fn find(repository: &Repository, wanted: &str) -> Result<TenantId, Failure> {
    let tenants = repository.tenants().map_err(|error| reading(repository.root(), &error))?;
    if let Ok(id) = wanted.parse::<TenantId>()
        && tenants.contains(&id)
    {
        return Ok(id);
    }
    let (mut found, mut known) = (Vec::new(), Vec::new());
    for tenant in tenants {
        let inventory = repository.tenant(tenant).history().await;
        let history = inventory.map_err(|error| reading(repository.root(), &error))?.history;
        let names = history.lineages.iter().map(|held| held.lineage.database.as_str());
        let names: std::collections::BTreeSet<_> = names.collect();
        known.push(format!("{tenant} ({})", names.iter().copied().collect::<Vec<_>>().join(", ")));
        if names.contains(wanted) {
            found.push(tenant);
        }
    }
    match found[..] {
        [tenant] => Ok(tenant),
        [] => {
            Err(Failure::new(Exit::Refused, "not-found", format!("the repository holds no tenant {wanted}"))
                .hint(match known.is_empty() {
                    true => "it holds no tenant at all".to_owned(),
                    false => format!("it holds {}", known.join(", ")),
                }))
        }
        _ => Err(Failure::new(
            Exit::Refused,
            "ambiguous",
            format!("{} tenants of the repository have a database named {wanted}", found.len()),
        )
        .hint(format!("name one by its id: {}", known.join(", ")))),
    }
}

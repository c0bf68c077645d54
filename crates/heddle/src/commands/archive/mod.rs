mod expire;
mod restore;
mod rotate;
mod shred;
mod verify;

use std::path::PathBuf;

use ::archive::{FileError, KeyError, KeyFile, Location, OpenError, Repository};
use clap::{Args, Subcommand};
use model::TenantId;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::repository;

/// The repository of all tenants' history, by itself: control need not run
#[derive(Debug, Subcommand)]
pub enum Command {
    Verify(verify::Verify),
    Expire(expire::Expire),
    Restore(restore::Restore),
    Rotate(rotate::Rotate),
    Shred(shred::Shred),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Verify(command) => command.run(context).await,
            Self::Expire(command) => command.run(context).await,
            Self::Restore(command) => command.run(context).await,
            Self::Rotate(command) => command.run(context).await,
            Self::Shred(command) => command.run(context).await,
        }
    }
}

#[derive(Debug, Args)]
struct Place {
    /// The repository: a folder, or s3://bucket/prefix [HEDDLE_REPOSITORY; default: `repository` in the data folder]
    #[arg(long, value_name = "PLACE")]
    repository: Option<String>,
    /// The file with its master key [HEDDLE_REPOSITORY_KEY; default: `secrets/repository.key` in the data folder]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Place {
    fn location(&self, context: &Context) -> Result<Location, Failure> {
        let Some(text) = &self.repository else { return Ok(context.settings.repository.clone()) };
        let text = match text.starts_with("s3://") {
            true => text.clone(),
            // What a person writes is meant from where they are.
            false => std::path::absolute(text)
                .map_err(|error| Failure::while_trying(format!("find {text}"), &error))?
                .display()
                .to_string(),
        };
        let place =
            text.parse().map_err(|error: ::archive::InvalidLocation| Failure::usage(error.to_string()))?;
        Ok(repository::located(place, &context.settings))
    }

    fn keys(&self, context: &Context) -> KeyFile {
        match &self.key_file {
            Some(path) => KeyFile::at(path),
            None => repository::keys(&context.settings),
        }
    }

    async fn open(&self, context: &Context) -> Result<Repository, Failure> {
        let (place, keys) = (self.location(context)?, self.keys(context));
        let opened = blocking({
            let (place, keys) = (place.clone(), keys.clone());
            move || Repository::open(place, keys)
        });
        let opened = opened.await?.map_err(|error| match error {
            OpenError::Missing(_) => Failure::new(Exit::Refused, "no-repository", error.to_string())
                .hint("name the repository with --repository"),
            OpenError::OlderFormat { .. } | OpenError::NewerFormat { .. } => {
                Failure::new(Exit::Refused, "repository-format", error.to_string())
            }
            error => reading(&place, &error),
        })?;
        keys.count().map_err(|error| repository::key_failed(&error))?;
        Ok(opened)
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::while_trying("work on the repository", &error))
}

fn reading(place: &Location, error: &(dyn std::error::Error + 'static)) -> Failure {
    let failure = Failure::while_trying(format!("read the repository at {place}"), error);
    match (error.downcast_ref::<FileError>().and_then(FileError::key_error), place) {
        (Some(shredded @ KeyError::Shredded), _) => {
            Failure::new(Exit::Refused, "shredded", shredded.to_string())
                .hint("it was shredded on purpose; no key opens it again")
        }
        (Some(_), _) => failure.hint("name the right key file with --key-file or HEDDLE_REPOSITORY_KEY"),
        (None, Location::Folder(_)) => {
            failure.hint("the repository belongs to the worker's user: run this as that user, or as root")
        }
        (None, Location::S3(_)) => {
            failure.hint("see HEDDLE_S3_ENDPOINT and the other settings in docs/reference/settings.md")
        }
    }
}

/// A tenant by its id, or by its database's name. The repository knows no
/// other names.
async fn find(repository: &Repository, wanted: &str) -> Result<TenantId, Failure> {
    let listed = repository.clone();
    let tenants = blocking(move || listed.tenants()).await?;
    let tenants = tenants.map_err(|error| reading(repository.location(), &error))?;
    if let Ok(id) = wanted.parse::<TenantId>()
        && tenants.contains(&id)
    {
        return Ok(id);
    }
    let (mut found, mut known) = (Vec::new(), Vec::new());
    for tenant in tenants {
        let history = match repository.tenant(tenant).history().await {
            Ok(inventory) => inventory.history,
            // Another's key may be destroyed, or sealed by another master.
            Err(error) if error.key_error().is_some() => {
                known.push(format!("{tenant} (its key does not open)"));
                continue;
            }
            Err(error) => return Err(reading(repository.location(), &error)),
        };
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

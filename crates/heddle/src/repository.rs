//! The repository and its key, as the settings name them.

use archive::{KeyFile, Location, OpenError, Repository, S3Location, WrapError};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::settings::Settings;

/// The key file: as set, else the one that systemd provides, else the data
/// folder's own.
pub fn keys(settings: &Settings) -> KeyFile {
    match &settings.repository_key {
        Some(path) => KeyFile::at(path),
        None => {
            KeyFile::credential().unwrap_or_else(|| KeyFile::at(settings.data.join("secrets/repository.key")))
        }
    }
}

/// A place, with what the settings say of its server.
pub fn located(place: Location, settings: &Settings) -> Location {
    match place {
        Location::Folder(_) => place,
        Location::S3(place) => Location::S3(Box::new(S3Location {
            endpoint: settings.s3_endpoint.clone(),
            region: settings.s3_region.clone(),
            access_key: settings.s3_access_key.clone(),
            secret_key: settings.s3_secret_key.clone(),
            ..*place
        })),
    }
}

/// Sees that the repository is one that can be used, and that there is a key,
/// made together with a new repository and never for one that is there. Blocks.
pub fn prepare(settings: &Settings) -> Result<(), Failure> {
    let (place, keys) = (settings.repository.clone(), keys(settings));
    let has_key = keys.path().exists();
    if has_key {
        keys.count().map_err(|error| key_failed(&error))?;
        if matches!(place, Location::S3(_)) {
            // The worker will say what is wrong with it.
            return Ok(());
        }
    }
    match Repository::open(place.clone(), keys.clone()) {
        Ok(_) if has_key => Ok(()),
        Ok(_) => Err(Failure::new(
            Exit::Refused,
            "no-repository-key",
            format!("the repository at {place} is there, and its key {} is not", keys.path().display()),
        )
        .hint("put the key file back from your copy, or name it with HEDDLE_REPOSITORY_KEY; nothing can be read without it")),
        Err(error @ (OpenError::OlderFormat { .. } | OpenError::NewerFormat { .. })) => {
            Err(Failure::new(Exit::Refused, "repository-format", error.to_string()))
        }
        Err(OpenError::Missing(_)) if !has_key => keys.make().map_err(|error| key_failed(&error)),
        // Whatever else is wrong, the worker meets it, and tries again.
        Err(error) if has_key => {
            tracing::debug!(%error, "the repository cannot be looked at");
            Ok(())
        }
        Err(error) => Err(Failure::while_trying(format!("look at the repository at {place}"), &error)),
    }
}

pub fn key_failed(error: &WrapError) -> Failure {
    let failure = Failure::new(Exit::Refused, "no-repository-key", "the repository's key cannot be used");
    failure.because(error).hint("name the key file with --key-file or HEDDLE_REPOSITORY_KEY")
}

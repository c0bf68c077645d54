use archive::Rotated;
use clap::Args;
use serde::Serialize;

use super::Place;
use crate::context::Context;
use crate::failure::Failure;
use crate::repository::key_failed;

/// Change the master key: seal every tenant's key by a new one
///
/// Only keys are sealed again, so it takes a moment whatever the repository
/// holds, and a worker beside it goes on. The key file then holds the new key.
/// Copies of the repository that were made before need the old one. Broken off,
/// run it again.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle archive rotate")]
pub struct Rotate {
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Done {
    key_file: String,
    retired: Vec<String>,
    #[serde(flatten)]
    keys: Rotated,
}

impl Rotate {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let repository = self.place.open(context).await?;
        let keys = self.place.keys(context);
        let failed = |error| key_failed(&error);
        // More than one: an earlier rotation was broken off, and is gone on with.
        if keys.count().map_err(failed)? == 1 {
            keys.begin_rotation().map_err(failed)?;
        }
        let location = repository.location().clone();
        let rotated = super::blocking(move || repository.rotate()).await?;
        let rotated = rotated.map_err(|error| super::reading(&location, &error))?;
        let retired = keys.end_rotation().map_err(failed)?;
        let done = Done { key_file: keys.path().display().to_string(), retired, keys: rotated };
        context.output.result(&done, |done| {
            format!(
                "{} tenants' keys are sealed by the new master key in {}. Keep a copy of it elsewhere.\n\
                 Copies of the repository that were made before today need the old one, {}, of which none is left here.\n",
                done.keys.sealed + done.keys.already,
                done.key_file,
                done.retired.join(", "),
            )
        })
    }
}

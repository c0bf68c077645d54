mod coverage;
mod explain;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use copies::{Catalog, Database, Rules};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Rules: what becomes of each column in a copy that holds nobody's data
#[derive(Debug, Subcommand)]
pub enum Command {
    Explain(explain::Explain),
    Test(test::Test),
    Coverage(coverage::Coverage),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Explain(command) => command.run(context).await,
            Self::Test(command) => command.run(context).await,
            Self::Coverage(command) => command.run(context).await,
        }
    }
}

/// Larger files are not read.
const LARGEST: u64 = 1 << 20;

/// A database that is only looked at. Its address may hold a password, and so
/// never stands on the command line.
#[derive(Debug, Args)]
struct Look {
    /// A file with the database's address, postgresql://user@host/name [default: HEDDLE_RULES_DATABASE]
    #[arg(long, value_name = "FILE")]
    database_file: Option<PathBuf>,
}

impl Look {
    fn address(&self) -> Result<Option<Database>, Failure> {
        let address = match &self.database_file {
            Some(path) => read(path)?,
            None => match std::env::var("HEDDLE_RULES_DATABASE") {
                Ok(address) => address,
                Err(_) => return Ok(None),
            },
        };
        let database = Database::parse(&address);
        database.map(Some).map_err(|error| Failure::usage(error.to_string()))
    }

    async fn catalog(&self) -> Result<Option<Catalog>, Failure> {
        let Some(database) = self.address()? else { return Ok(None) };
        let looking = |error| {
            Failure::while_trying(format!("look at {database}"), &error).hint(
                "the address is libpq's: postgresql://user@host:port/name, or host=/folder user=… dbname=…",
            )
        };
        let client = database.connect().await.map_err(looking)?;
        Ok(Some(Catalog::read(&client).await.map_err(looking)?))
    }

    async fn needed(&self) -> Result<Catalog, Failure> {
        self.catalog().await?.ok_or_else(|| {
            Failure::usage("no database is named")
                .hint("name a file that holds its address with --database-file, or set HEDDLE_RULES_DATABASE")
        })
    }
}

/// The shipped rules, below those of `file`.
fn rules(file: Option<&Path>) -> Result<Rules, Failure> {
    let Some(path) = file else { return Ok(Rules::shipped()) };
    Ok(Rules::shipped().below(own(path)?))
}

fn own(path: &Path) -> Result<Rules, Failure> {
    let text = read(path)?;
    Rules::parse(&path.display().to_string(), &text)
        .map_err(|error| Failure::new(Exit::Refused, "rules", error.to_string()).hint(error.hint))
}

fn read(path: &Path) -> Result<String, Failure> {
    let reading = |error| Failure::while_trying(format!("read {}", path.display()), &error);
    let size = std::fs::metadata(path).map_err(reading)?.len();
    if size > LARGEST {
        return Err(Failure::usage(format!("{} is larger than 1 MiB", path.display())));
    }
    std::fs::read_to_string(path).map_err(reading)
}

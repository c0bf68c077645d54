//! The database that control keeps its state in: a cluster of our own, or one
//! that HEDDLE_DATABASE_URL names.

use std::fs;
use std::path::Path;
use std::time::Duration;

use model::program::{ProgramId, ProgramSpec, ProgramState};
use postgres::{Binaries, Cluster, NotReady, OsUser, SUPERUSER};
use runtime::{Driver, DriverError};

use crate::data::Data;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ports;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// The role that control connects as.
const CONTROL_ROLE: &str = "heddle_control";

/// The database in the management cluster.
const DATABASE: &str = "heddle";

/// The first start after a crash replays WAL.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn program_id() -> ProgramId {
    "management".parse().expect("the name is well formed")
}

/// Starts the management database where it is ours, migrates it, and leaves
/// control's own way into it in the data folder.
pub async fn start(settings: &Settings, data: &Data, driver: &dyn Driver) -> Result<(), Failure> {
    // A new one at each start: whoever read an old file has no way in any more.
    let password = postgres::random_password();
    let url = match &settings.database_url {
        Some(url) => outside(url, &password).await?,
        None => embedded(settings, data, driver, &password).await?,
    };
    Secrets::new(data.path()).write_control_url(&url)
}

/// Whether there is a PostgreSQL to make a cluster of our own with, and for
/// tenants' cells in any case.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    find(settings).map(drop)
}

fn find(settings: &Settings) -> Result<Binaries, Failure> {
    Binaries::find(settings.postgres_bin.as_deref())
        .map_err(|error| Failure::new(Exit::Failed, "no-postgresql", error.to_string()).hint(error.hint()))
}

async fn outside(url: &str, password: &str) -> Result<String, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::while_trying("prepare the database that HEDDLE_DATABASE_URL names", error)
            .hint("it takes a superuser, or a role that may create roles, and in this database schemas")
    };
    let config: tokio_postgres::Config = url.parse().map_err(|error| failed(&error))?;
    let (mut admin, connection) =
        config.connect(tokio_postgres::NoTls).await.map_err(|error| failed(&error))?;
    // Its errors are those of what is asked over it.
    let driven = tokio::spawn(connection);
    let migrated = database::migrate(&mut admin, password).await;
    drop(admin);
    let _ = driven.await;
    migrated.map_err(|error| failed(&error))?;
    Ok(conninfo(&config, password))
}

async fn embedded(
    settings: &Settings,
    data: &Data,
    driver: &dyn Driver,
    password: &str,
) -> Result<String, Failure> {
    let bin = find(settings)?;
    let user = settings.service_user()?;
    let id = program_id();
    let failed = |error: DriverError| Failure::while_trying("start the management cluster", &error);
    let running = matches!(driver.state(&id).await.map_err(failed)?, ProgramState::Running { .. });
    let cluster = Cluster {
        data_dir: data.management(),
        socket_dir: settings.run_dir.join("management"),
        port: port(&data.management_port(), running)?,
        identity: user.as_ref().map(OsUser::identity),
        socket_group: None,
        archive: None,
    };
    postgres::prepare_management(&bin, &cluster, user.as_ref())
        .map_err(|error| Failure::while_trying("prepare the management cluster", &error))?;
    let spec = cluster
        .program(&bin, id.clone())
        .map_err(|error| Failure::while_trying("prepare the management cluster", &error))?;
    launch(driver, &spec).await.map_err(failed)?;
    let client = match postgres::wait_ready(&cluster, PATIENCE).await {
        Ok(client) => client,
        Err(error) => return Err(unready(driver, &id, &error).await),
    };
    let prepared = |error: &(dyn std::error::Error + 'static)| {
        Failure::while_trying("prepare the management database", error)
    };
    postgres::ensure_database(&client, DATABASE, None).await.map_err(|error| prepared(&error))?;
    let mut admin = postgres::connect(&cluster.socket_dir, cluster.port, SUPERUSER, None, DATABASE)
        .await
        .map_err(|error| prepared(&error))?;
    database::migrate(&mut admin, password).await.map_err(|error| prepared(&error))?;
    let mut config = tokio_postgres::Config::new();
    config.host_path(&cluster.socket_dir).port(cluster.port).dbname(DATABASE);
    Ok(conninfo(&config, password))
}

/// One that an earlier `up` left running is taken over; after an upgrade of
/// PostgreSQL it is started anew.
async fn launch(driver: &dyn Driver, spec: &ProgramSpec) -> Result<(), DriverError> {
    match driver.start(spec).await {
        Err(DriverError::Differs { .. }) => {
            driver.stop(&spec.id).await?;
            driver.start(spec).await
        }
        other => other,
    }
}

async fn unready(driver: &dyn Driver, id: &ProgramId, error: &NotReady) -> Failure {
    let log = driver.log_tail(id, 8).await.unwrap_or_default();
    let mut failure = Failure::while_trying("reach the management cluster", error);
    failure.causes.extend(log.into_iter().map(|line| format!("its log: {line}")));
    failure.hint(format!("its whole log is {}", driver.log_path(id).display()))
}

/// The port is kept while the cluster runs, and across starts while it is free.
fn port(file: &Path, running: bool) -> Result<u16, Failure> {
    let known = fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u16>().ok());
    if running && let Some(port) = known {
        return Ok(port);
    }
    let failed = |error| Failure::while_trying("choose a port for the management cluster", &error);
    let port = ports::free(known).map_err(failed)?;
    fs::write(file, format!("{port}\n")).map_err(failed)?;
    Ok(port)
}

/// The same database, as control's role.
fn conninfo(config: &tokio_postgres::Config, password: &str) -> String {
    use tokio_postgres::config::Host;
    let quoted = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut text = String::new();
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let hosts: Vec<_> = hosts.collect();
    if !hosts.is_empty() {
        text += &format!("host={} ", quoted(&hosts.join(",")));
    }
    let ports: Vec<_> = config.get_ports().iter().map(ToString::to_string).collect();
    if !ports.is_empty() {
        text += &format!("port={} ", quoted(&ports.join(",")));
    }
    if let Some(name) = config.get_dbname().or(config.get_user()) {
        text += &format!("dbname={} ", quoted(name));
    }
    text + &format!("user={CONTROL_ROLE} password={}", quoted(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_connects_as_its_own_role() {
        for url in [
            "postgres://admin:secret@db.example:5433/ops",
            "host=/run/it's port=5433 user=admin password=secret dbname=ops",
        ] {
            let text = conninfo(&url.parse().unwrap(), "p'w");
            assert!(!text.contains("secret") && !text.contains("admin"), "{text}");
            let config: tokio_postgres::Config = text.parse().unwrap();
            assert_eq!(config.get_user(), Some("heddle_control"));
            assert_eq!(config.get_password(), Some("p'w".as_bytes()));
            assert_eq!(config.get_dbname(), Some("ops"));
            assert_eq!(config.get_ports(), [5433]);
        }
    }

    #[test]
    fn the_port_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("port");
        let first = port(&file, false).unwrap();
        assert_eq!(port(&file, false).unwrap(), first);
        let taken = std::net::TcpListener::bind(("127.0.0.1", first)).unwrap();
        assert_eq!(port(&file, true).unwrap(), first);
        assert_ne!(port(&file, false).unwrap(), first);
        drop(taken);
    }
}

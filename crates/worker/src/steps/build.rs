//! Checks an Odoo tree and initialises a template from it: a stopped cell and a
//! filestore that tenants are copied from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::fault;
use model::lsn::SegmentSize;
use model::program::ProgramState;
use odoo::config::TenantConfig;
use odoo::log::Verdict;
use odoo::programs::Launch;
use postgres::{Cluster, InitOptions};
use protocol::internal::{BuildWork, Fact};
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking, make_folder, remove_folder};
use crate::layout::{init_program, template_program};
use crate::ports;
use crate::report::Run;
use crate::secrets::random;

/// The database in a template; a tenant's copy is renamed.
pub const TEMPLATE_DATABASE: &str = "template_odoo";

/// `template.json`, written last: the template can be copied.
#[derive(Debug, Serialize, Deserialize)]
pub struct Template {
    pub odoo_version: String,
    pub modules: Vec<String>,
}

impl Template {
    /// The build's template on this host, if it is finished.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join("template.json")).ok()?).ok()
    }
}

pub async fn execute(host: &Host, run: &Run, build: &BuildWork) -> Result<(), Failure> {
    let folder = host.layout.build(build.build);
    if let Some(template) = Template::read(&folder) {
        return ready(run, build, template.odoo_version).await;
    }
    let source = host.source(build)?;
    run.info(format!("Found Odoo {} in {}", source.series, build.odoo));
    let (checked, addons, modules) = (source.clone(), addons(build), build.modules.clone());
    blocking(move || {
        checked.check_requirements().doing("check what Odoo needs")?;
        odoo::modules::modules_exist(&checked, &addons, &modules).map_err(|error| {
            Failure::new("check the modules").caused_by(error).hint(
                "`--addons FOLDER` adds a folder of modules to Odoo's own; it may be given several times",
            )
        })
    })
    .await?;

    let made = make(host, run, build, &source).await;
    for program in [init_program(build.build), template_program(build.build)] {
        host.clear_program(&program).await?;
    }
    if let Err(failure) = made {
        remove_folder(&folder)?;
        return Err(failure);
    }
    let template = Template { odoo_version: source.series.to_string(), modules: build.modules.clone() };
    let text = serde_json::to_vec(&template).doing("finish the template")?;
    let path = folder.join("template.json");
    daemon::secretfile::write(&path, &text).doing("finish the template")?;
    ready(run, build, template.odoo_version).await
}

async fn ready(run: &Run, build: &BuildWork, odoo_version: String) -> Result<(), Failure> {
    run.record(Fact::BuildReady { build: build.build, odoo_version }).await?;
    run.progress(1.0, "The template is ready");
    Ok(())
}

/// The whole search path before Odoo's own folders.
fn addons(build: &BuildWork) -> Vec<PathBuf> {
    build.addons.iter().map(PathBuf::from).collect()
}

async fn make(host: &Host, run: &Run, build: &BuildWork, source: &odoo::Source) -> Result<(), Failure> {
    let layout = &host.layout;
    let folder = layout.build(build.build);
    let init = init_program(build.build);
    // An Odoo that an earlier attempt started is waited for, not started again.
    let state = host.driver.state(&init).await.doing("look at the initialisation")?;
    if state == ProgramState::Absent {
        host.clear_program(&template_program(build.build)).await?;
        remove_folder(&folder)?;
        run.progress(0.1, "Making the template's cluster");
        start_cluster(host, build).await?;
        start_init(host, build, source).await?;
        run.progress(0.2, format!("Initialising Odoo with {}", build.modules.join(", ")));
    } else {
        run.info("Odoo's initialisation was under way; waiting for its end");
    }
    fault::reach("build.init").await;
    let exit = tokio::select! {
        exit = host.driver.wait(&init) => exit.doing("wait for the initialisation")?,
        () = run.cancelled() => return Err(Failure::cancelled()),
    };
    let log = host.driver.log_tail(&init, 20_000).await.doing("read the initialisation's log")?;
    match Verdict::of(exit, &log.join("\n")) {
        Verdict::Good => run.progress(0.9, "Odoo is initialised"),
        Verdict::Failed { reason, lines } => {
            for line in lines {
                run.warn(line);
            }
            return Err(Failure::new(format!("initialise Odoo: {reason}"))
                .hint("the run's events show what Odoo said; check the modules' names and what they need"));
        }
    }
    fault::reach("build.initialised").await;
    let driver = &host.driver;
    let exit = driver.stop(&template_program(build.build)).await.doing("stop the template's cluster")?;
    if exit.is_some_and(|exit| !exit.success()) {
        return Err(Failure::new("the template's cluster did not stop cleanly"));
    }
    Ok(())
}

fn cluster(host: &Host, build: &BuildWork, port: u16) -> Cluster {
    let folder = host.layout.build(build.build);
    let id = build.build.0.simple().to_string();
    Cluster {
        data_dir: folder.join("data"),
        socket_dir: host.layout.run.join(format!("t-{}", &id[id.len() - 12..])),
        port,
        identity: host.layout.cell_identity(0),
        socket_group: host.layout.odoo_identity(0).map(|identity| identity.gid),
        archive: None,
    }
}

async fn start_cluster(host: &Host, build: &BuildWork) -> Result<(), Failure> {
    let folder = host.layout.build(build.build);
    make_folder(&folder, 0o711, None)?;
    make_folder(&folder.join("files"), 0o700, host.layout.odoo_identity(0))?;
    let cluster = cluster(host, build, ports::free(1)?[0]);
    let (binaries, user, id) =
        (host.binaries.clone(), host.initdb_user.clone(), template_program(build.build));
    let made = cluster.clone();
    let spec = blocking(move || {
        let options = InitOptions { segment_size: SegmentSize::CELL, owner: made.identity };
        postgres::initdb(&binaries, &made.data_dir, user.as_ref(), &options)
            .doing("make the template's cluster")?;
        made.make_socket_dir().doing("make the template's socket folder")?;
        made.write_config().doing("configure the template")?;
        made.program(&binaries, id).doing("prepare the template")
    })
    .await?;
    host.driver.start(&spec).await.doing("start the template's cluster")?;
    let client = postgres::wait_ready(&cluster, Duration::from_secs(60))
        .await
        .doing("wait for the template's cluster")?;
    let password = random()?;
    let verifier = postgres::verifier(&password);
    postgres::create_tenant_database(&client, TEMPLATE_DATABASE, odoo::config::ROLE, &verifier)
        .await
        .doing("make the template's database")?;
    write_config(host, build, &cluster, password)
}

fn write_config(host: &Host, build: &BuildWork, cluster: &Cluster, password: String) -> Result<(), Failure> {
    let source = host.source(build)?;
    let folder = host.layout.build(build.build);
    let mut path = vec![host.layout.addons()];
    path.extend(addons(build));
    path.extend(source.addons.iter().cloned());
    let ports = ports::free(2)?;
    let config = TenantConfig {
        series: source.series,
        addons: path,
        database: crate::host::database(TEMPLATE_DATABASE)?,
        socket_dir: cluster.socket_dir.clone(),
        socket_port: cluster.port,
        database_password: password,
        master_password: random()?,
        data_dir: folder.join("files"),
        http_port: ports[0],
        gevent_port: ports[1],
        workers: 0,
        cron_threads: 0,
        limits: Default::default(),
    };
    config
        .write(&folder.join("odoo.conf"), host.layout.odoo_identity(0))
        .doing("write the template's configuration")
}

async fn start_init(host: &Host, build: &BuildWork, source: &odoo::Source) -> Result<(), Failure> {
    let folder = host.layout.build(build.build);
    let heddle_addons = host.layout.addons();
    let launch = Launch {
        source,
        heddle_addons: &heddle_addons,
        config: &folder.join("odoo.conf"),
        data_dir: &folder.join("files"),
        identity: host.layout.odoo_identity(0),
        router_key: None,
        files_socket: None,
    };
    let spec = odoo::programs::init(init_program(build.build), &launch, &build.modules);
    host.driver.start(&spec).await.doing("start Odoo's initialisation")
}

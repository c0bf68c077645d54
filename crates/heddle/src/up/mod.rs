//! `heddle up`: everything on one machine, started in order and stopped in order.

mod log;
mod management;
mod programs;
mod ready;
mod roles;
mod shutdown;
mod signals;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runtime::{Driver, ProcessDriver};
use serde::Serialize;

use self::ready::Ready;
use self::roles::{Role, Spec};
use self::signals::Signals;
use crate::commands::doctor;
use crate::context::Context;
use crate::data::Data;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, facts};
use crate::ports;
use crate::repository;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// Control drains requests; a worker ends the step it is in; a router lets
/// requests under way end.
const GRACES: [(&str, Duration); 3] = [
    ("control", Duration::from_secs(15)),
    ("worker", Duration::from_secs(60)),
    ("router", Duration::from_secs(45)),
];

/// How long the processes of an `up` that was killed may take to follow it.
const FOLLOW: Duration = Duration::from_secs(10);

/// What `up` says once all is ready, with `--json` on one line.
#[derive(Debug, Serialize)]
struct Summary {
    console: String,
    /// Tenants answer at `<subdomain>.<base_domain>` on this address.
    router: String,
    base_domain: String,
    data: PathBuf,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_time_password: Option<String>,
}

/// Runs until it is told to stop, and returns when nothing of it is left.
pub async fn run(context: &Context, one_time_password: bool) -> Result<(), Failure> {
    let settings = &context.settings;
    let output = context.output;
    let data = Data::new(&settings.data);
    check_way(settings)?;
    if data.lock_holder().is_none() {
        // Before anything is made: an `up` that is refused leaves nothing behind.
        management::check(settings)?;
        check_ports(settings, &data).await?;
    }
    data.prepare(&settings.run_dir)?;
    let _lock = data.lock()?;
    data.install_binary()?;
    let secrets = Secrets::new(data.path());
    secrets.platform_key()?;
    secrets.make_secrets_key(&settings.secrets_key)?;
    let prepared = settings.clone();
    tokio::task::spawn_blocking(move || repository::prepare(&prepared))
        .await
        .map_err(|error| Failure::while_trying("look at the repository", &error))??;
    if !rustix::process::geteuid().is_root() {
        output.note("warning: isolation is off: not root, so all tenants run as one user (`heddle doctor`)");
    }

    let mut signals = Signals::new()?;
    let driver: Arc<dyn Driver> = Arc::new(ProcessDriver::new(data.programs(), data.heddle()));
    let mut roles = Vec::new();
    let started = tokio::select! {
        started = start(context, &data, driver.as_ref(), &mut roles) => started,
        () = signals.next() => Err(interrupted()),
    };
    let outcome = match started {
        Ok(ready) => {
            let told = tell(context, &ready, one_time_password).await;
            if told.is_ok() {
                signals.next().await;
            }
            told
        }
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &outcome
        && failure.exit != Exit::Interrupted
    {
        output.note("It cannot go on; what was started is stopped again.");
    }
    let stopped = shutdown::run(context, driver, roles, &mut signals).await;
    match outcome {
        // Asked to stop before it was ready, it did what it was asked.
        Err(failure) if failure.exit != Exit::Interrupted => Err(failure),
        _ => stopped,
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted", "stopped before everything was ready")
}

/// As root, tenants' users must be able to pass to their folders.
fn check_way(settings: &Settings) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    match doctor::closed_ancestor(&settings.data) {
        None => Ok(()),
        Some(folder) => Err(Failure::new(
            Exit::Refused,
            "unreachable-data",
            format!("other users cannot pass {}, and tenants run as users of their own", folder.display()),
        )
        .hint(format!("`chmod o+x {}`, or choose another folder with --data", folder.display()))),
    }
}

/// The roles of an `up` that was killed end by themselves, in a moment.
async fn check_ports(settings: &Settings, data: &Data) -> Result<(), Failure> {
    let check = || {
        ports::check("listen_console", settings.listen_console)
            .and_then(|()| ports::check("listen_router", settings.listen_router))
    };
    let mut free = check();
    if data.was_killed() {
        let until = tokio::time::Instant::now() + FOLLOW;
        while free.is_err() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
            free = check();
        }
    }
    free
}

async fn start(
    context: &Context,
    data: &Data,
    driver: &dyn Driver,
    roles: &mut Vec<Role>,
) -> Result<Ready, Failure> {
    let settings = &context.settings;
    data.mark_started()?;
    management::start(settings, data, driver).await?;
    for (name, grace) in GRACES {
        let spec = Spec {
            name,
            heddle: data.heddle(),
            data: data.path().to_owned(),
            log: data.logs().join(format!("{name}.log")),
            grace,
        };
        roles.push(Role::start(spec, context.output));
        if name == "control" {
            // The others would only complain that it is not there.
            ready::wait(settings, ready::control_answers).await?;
        }
    }
    ready::wait(settings, ready::all_answer).await
}

async fn tell(context: &Context, ready: &Ready, one_time_password: bool) -> Result<(), Failure> {
    let settings = &context.settings;
    let password = match one_time_password {
        true => crate::commands::user::bootstrap(settings).await?,
        false => None,
    };
    let summary = Summary {
        console: settings.own_control_url(),
        router: settings.listen_router.to_string(),
        base_domain: settings.base_domain.clone(),
        data: settings.data.clone(),
        pid: std::process::id(),
        one_time_password: password,
    };
    if context.output.json {
        let line = serde_json::to_string(&summary)
            .map_err(|error| Failure::while_trying("write the result as JSON", &error))?;
        return context.output.line(&line);
    }
    context.output.line(&text(&summary, ready, one_time_password, context.output))
}

fn text(summary: &Summary, ready: &Ready, asked: bool, output: Output) -> String {
    let port = summary.router.rsplit_once(':').map_or("", |(_, port)| port);
    let mut pairs = vec![("console", summary.console.clone())];
    match &summary.one_time_password {
        Some(password) => pairs.push(("sign in", format!("admin, one-time password {password}"))),
        None if asked => pairs.push(("sign in", "admin, with the password that was chosen".into())),
        None => {}
    }
    pairs.push(("tenants", format!("http://<name>.{}:{port}", summary.base_domain)));
    pairs.push(("data", summary.data.display().to_string()));
    let mut text = format!("{}\n\n", output.strong("Heddle is up."));
    for line in facts(pairs).lines() {
        text += &format!("  {line}\n");
    }
    if !ready.tenants.is_empty() {
        text.push('\n');
        for tenant in &ready.tenants {
            text += &format!("  {} ({}, {})\n", tenant.url, tenant.state, tenant.serving);
        }
    }
    text + "\nCtrl-C stops it.\n"
}

//! How Odoo is started.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::program::{Identity, ProgramId, ProgramSpec, RestartPolicy, StopSignal};

use crate::Source;

/// What the programs of one tenant (or template) have in common.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    pub source: &'a Source,
    /// The folder that [`crate::addon::install`] was given.
    pub heddle_addons: &'a Path,
    /// Its `odoo.conf`, already written; see [`crate::config::TenantConfig`].
    pub config: &'a Path,
    /// Odoo's data folder; its home and working directory as well.
    pub data_dir: &'a Path,
    pub identity: Option<Identity>,
    /// The file with the key that the router sends along, readable by the
    /// identity; without one every request is refused.
    pub router_key: Option<&'a Path>,
    /// The archive service's socket, which keeps the files that a clean-up is
    /// about to remove; without it none is removed.
    pub files_socket: Option<&'a Path>,
}

/// An Odoo that serves, for as long as it is wanted. `workers` as in its
/// configuration.
pub fn serve(id: ProgramId, launch: &Launch, workers: u16) -> ProgramSpec {
    // Threaded, it closes at once or waits a second for its requests; prefork
    // workers finish theirs, which may take limit_time_real (120 s).
    let grace = if workers == 0 { 30 } else { 130 };
    spec(id, launch, &[], RestartPolicy::Always, grace)
}

/// A one-shot Odoo that installs `modules` (and what they depend on) into its
/// database, without demonstration data and without listening anywhere. Its
/// exit code alone proves nothing: see [`crate::log::Verdict`].
pub fn init(id: ProgramId, launch: &Launch, modules: &[String]) -> ProgramSpec {
    let mut modules: Vec<&str> = modules.iter().map(String::as_str).collect();
    for needed in launch.source.series.needs_modules() {
        if !modules.contains(needed) {
            modules.push(needed);
        }
    }
    let modules = modules.join(",");
    let arguments =
        ["--init", &modules, "--stop-after-init", "--no-http", "--workers=0", "--max-cron-threads=0"];
    spec(id, launch, &arguments, RestartPolicy::Never, 30)
}

fn spec(
    id: ProgramId,
    launch: &Launch,
    arguments: &[&str],
    restart: RestartPolicy,
    grace_s: u64,
) -> ProgramSpec {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let source = launch.source;
    let mut argv = vec![text(&source.python), text(&source.program), "--config".into(), text(launch.config)];
    argv.extend(arguments.iter().map(|&argument| argument.to_owned()));

    let mut env = BTreeMap::from([
        ("PATH".to_owned(), source.path_variable()),
        ("HOME".to_owned(), text(launch.data_dir)),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        // getpass looks here before it asks for a passwd entry, which the identity lacks
        ("USER".to_owned(), crate::config::ROLE.to_owned()),
        ("LOGNAME".to_owned(), crate::config::ROLE.to_owned()),
        // an Odoo's code is shared by its tenants, none of whom may change it
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
    ]);
    if launch.identity.is_some() {
        // up to some 13 Odoo asks pwd itself
        let path = crate::addon::python_path(launch.heddle_addons);
        env.insert("PYTHONPATH".into(), text(&path));
    }
    if let Some(key) = launch.router_key {
        env.insert("HEDDLE_ROUTER_KEY_FILE".into(), text(key));
    }
    if let Some(socket) = launch.files_socket {
        env.insert("HEDDLE_FILES_SOCKET".into(), text(socket));
    }
    ProgramSpec {
        id,
        argv,
        env,
        dir: launch.data_dir.into(),
        identity: launch.identity,
        restart,
        stop_signal: StopSignal::Term,
        grace: Duration::from_secs(grace_s),
    }
}

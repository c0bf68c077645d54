//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    alert, approval, archive, audit, build, control, doctor, env, key, login, logs, maintenance, member,
    policy, project, restore, router, rules, run, schedule, secret, settings, snapshot, status, tenant, up,
    user, wal, worker,
};
use crate::context::Context;
use crate::failure::Failure;

/// Hosts Odoo: runs it, keeps every tenant's history, and gives any one tenant
/// back as it was at any second, without touching the others
#[derive(Debug, Parser)]
#[command(
    name = "heddle",
    version,
    max_term_width = 100,
    after_help = "Start with `heddle doctor`, then `heddle up`.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Print the result as JSON, and errors as JSON on standard error
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// The data folder [HEDDLE_DATA; default: /var/lib/heddle as root]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub data: Option<PathBuf>,
    /// Control's address [HEDDLE_URL; default: where the console listens]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(up::Up),
    Doctor(doctor::Doctor),
    Settings(settings::Settings),
    Login(login::Login),
    Logout(login::Logout),
    Status(status::Status),
    #[command(subcommand)]
    Project(project::Command),
    #[command(subcommand)]
    Build(build::Command),
    #[command(subcommand)]
    Env(env::Command),
    #[command(subcommand)]
    Tenant(tenant::Command),
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    Restore(restore::Restore),
    #[command(subcommand)]
    Archive(archive::Command),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(subcommand)]
    Rules(rules::Command),
    #[command(subcommand)]
    Run(run::Command),
    Logs(logs::Logs),
    #[command(subcommand)]
    Schedule(schedule::Command),
    #[command(subcommand)]
    Maintenance(maintenance::Command),
    #[command(subcommand)]
    Alert(alert::Command),
    #[command(subcommand)]
    Approval(approval::Command),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Secret(secret::Command),
    #[command(subcommand)]
    Member(member::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    User(user::Command),
    Control(control::ControlCommand),
    Worker(worker::WorkerCommand),
    Router(router::RouterCommand),
    #[command(subcommand)]
    Wal(wal::Command),
    Shim(Shim),
}

/// What a program is run under; see `main`
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Shim {
    /// The program's folder
    _folder: PathBuf,
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Up(command) => command.run(context).await,
            Self::Doctor(command) => command.run(context).await,
            Self::Settings(command) => command.run(context).await,
            Self::Login(command) => command.run(context).await,
            Self::Logout(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::Project(command) => command.run(context).await,
            Self::Build(command) => command.run(context).await,
            Self::Env(command) => command.run(context).await,
            Self::Tenant(command) => command.run(context).await,
            Self::Snapshot(command) => command.run(context).await,
            Self::Restore(command) => command.run(context).await,
            Self::Archive(command) => command.run(context).await,
            Self::Audit(command) => command.run(context).await,
            Self::Rules(command) => command.run(context).await,
            Self::Run(command) => command.run(context).await,
            Self::Logs(command) => command.run(context).await,
            Self::Schedule(command) => command.run(context).await,
            Self::Maintenance(command) => command.run(context).await,
            Self::Alert(command) => command.run(context).await,
            Self::Approval(command) => command.run(context).await,
            Self::Policy(command) => command.run(context).await,
            Self::Secret(command) => command.run(context).await,
            Self::Member(command) => command.run(context).await,
            Self::Key(command) => command.run(context).await,
            Self::User(command) => command.run(context).await,
            Self::Control(command) => command.run(context).await,
            Self::Worker(command) => command.run(context).await,
            Self::Router(command) => command.run(context).await,
            Self::Wal(_) | Self::Shim(_) => unreachable!("main runs these without a context"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn refused(line: &str) -> String {
        Cli::try_parse_from(line.split_whitespace()).unwrap_err().to_string()
    }

    fn understood(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Every command that does something has a doc comment and an example.
    #[test]
    fn every_command_explains_itself() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no help");
            let mut inner = command.get_subcommands().filter(|one| one.get_name() != "help").peekable();
            if inner.peek().is_none() && !command.is_hide_set() {
                let example = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
                assert!(example.contains(path.trim_start()), "{path} shows no example of itself");
            }
            for argument in command.get_arguments().filter(|one| !one.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
            inner.for_each(|command| walk(command, &path));
        }
        walk(&Cli::command(), "");
    }

    #[test]
    fn examples_are_understood() {
        for line in [
            "heddle project create demo",
            "heddle build create demo --odoo /opt/odoo --modules base,web",
            "heddle env create demo/production",
            "heddle tenant create acme --env demo/production --no-wait --json",
            "heddle snapshot create acme --name before-mistake --keep 3d",
            "heddle restore acme --to before-mistake --yes",
            "heddle restore acme --at -90s",
            "heddle tenant peek acme --at -90s --for 15m --json",
            "heddle tenant peek acme --latest -- -c 'SELECT 1'",
            "heddle tenant peek acme --lsn 0/3000148 --psql",
            "heddle tenant peek end acme",
            "heddle archive verify --tenant acme --json",
            "heddle archive restore acme --latest --to /srv/acme --repository /mnt/copy",
            "heddle archive restore acme --at -90s --to /srv/acme --plan",
            "heddle audit list --project - --since -90s",
            "heddle audit verify --file demo.jsonl --head heads.jsonl --key ab --key cd",
            "heddle audit export --heads",
            "heddle --json run list --tenant acme --state failed",
            "heddle logs acme --cluster -n 20",
            "heddle schedule create demo/nightly snapshot --cron @daily --catch-up none",
            "heddle schedule next demo/nightly -n 20",
            "heddle maintenance create demo/sunday --cron @weekly --for 3h",
            "heddle alert list --state resolved",
            "heddle member set demo ada@example.com developer",
            "heddle member grant demo ada@example.com operate --env production",
            "heddle key create ci --project demo --scopes read,develop --expires 90d",
            "heddle user create ada@example.com",
            "heddle secret set SMTP_PASSWORD --tenant acme --replacing 3",
            "heddle secret list --env demo/production",
            "heddle policy set demo restore --stage production --approvals 2 --roles owner,admin --expires-after 12h",
            "heddle policy remove demo change_policy",
            "heddle approval refuse 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b --note no",
            "heddle env wait demo/try-18 --timeout 90s",
            "heddle env destroy demo/production --confirm production --no-wait",
            "heddle rules explain res_partner.x_passport --field char --rules own.toml",
            "heddle rules coverage --database-file peek.url --all --json",
            "heddle login http://127.0.0.1:7700 --key-stdin",
        ] {
            understood(line);
        }
        let Command::Build(build::Command::Create(_)) =
            understood("heddle build create d --odoo o --modules base,web").command
        else {
            panic!("another command was understood");
        };
    }

    #[test]
    fn wrong_inputs_read_well() {
        let text = refused("heddle restore acme");
        assert!(text.contains("--to <SNAPSHOT>|--at <TIME>"), "{text}");

        let text = refused("heddle tenant peek acme");
        assert!(text.contains("--at <TIME>|--snapshot <SNAPSHOT>|--lsn <LSN>|--latest"), "{text}");

        let text = refused("heddle restore acme --at yesterday");
        assert!(text.contains("\"yesterday\" is not a time") && text.contains("5m ago"), "{text}");

        let text = refused("heddle env create demo");
        assert!(text.contains("demo/production"), "{text}");

        let text = refused("heddle secret set TOKEN");
        assert!(text.contains("--project <PROJECT>|--env <PROJECT/ENVIRONMENT>|--tenant <TENANT>"), "{text}");

        let text = refused("heddle secret set TOKEN hunter2 --tenant acme");
        assert!(text.contains("unexpected argument"), "{text}");

        let text = refused("heddle policy set demo dance --approvals 1");
        assert!(text.contains("not one of restore, snapshot"), "{text}");

        let text = refused("heddle tenant create acme");
        assert!(text.contains("--env <PROJECT/ENVIRONMENT>"), "{text}");

        let text = refused("heddle snapshto list acme");
        assert!(text.contains("'snapshot'"), "{text}");

        let text = refused("heddle restore acme --at now --to before");
        assert!(text.contains("cannot be used with"), "{text}");

        let text = refused("heddle archive restore acme --to /srv/acme");
        assert!(text.contains("--at <TIME>|--snapshot <SNAPSHOT>|--backup <BACKUP>|--latest"), "{text}");

        let text = refused("heddle schedule show nightly");
        assert!(text.contains("demo/nightly"), "{text}");

        let text = refused("heddle run list --state done");
        assert!(text.contains("\"done\" is not one of waiting, queued"), "{text}");
    }
}

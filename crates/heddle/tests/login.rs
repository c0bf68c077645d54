//! Commands for scripts and for people of their own, against a control that
//! listens: logging in, secrets, approvals, the end of an environment.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use control::{Control, Settings};
use serde_json::Value;
use uuid::Uuid;

#[path = "../../database/tests/it/scratch.rs"]
#[allow(dead_code)]
mod scratch;

use scratch::Scratch;

/// A control that listens, and a folder for the settings of whoever speaks to it.
struct Place {
    control: Control,
    scratch: Scratch,
    url: String,
    top: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let scratch = Scratch::new().await;
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("secrets.key");
        daemon::secretfile::write(&file, control::new_key_file().unwrap().as_bytes()).unwrap();
        let settings = Settings { secrets_key: Some(file), ..Settings::default() };
        let control = Control::connect(&scratch.url(), settings).await.unwrap();
        let router = web::router(web::WebState::new(control.clone(), "the platform's key"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Ends with the test's runtime.
        tokio::spawn(web::serve(listener, router, std::future::pending()));
        let sql = "INSERT INTO ops.projects (id, name) VALUES ('$1', 'demo');
            INSERT INTO ops.builds (id, project_id, state, odoo, addons, modules, odoo_version)
                VALUES ('$1', '$1', 'ready', '/odoo', '{}', '{base}', '18.0');
            INSERT INTO ops.runs (id, kind, state, project_id, build_id, requester, attempts, fence, started_at, ended_at)
                VALUES ('$1', 'build', 'succeeded', '$1', '$1', 'platform', 1, 1, now(), now());
            INSERT INTO ops.environments (id, project_id, name, stage, build_id)
                VALUES ('$1', '$1', 'live', 'production', '$1');
            INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier)
                VALUES ('$1', '$1', 'acme', 'acme', 'acme', 'draft', 'basic')";
        let place = Self { control, scratch, url, top };
        place.sql(&sql.replace("$1", &Uuid::from_u128(1).to_string())).await;
        place
    }

    async fn sql(&self, sql: &str) {
        self.scratch
            .admin()
            .await
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Somebody with that role in the project, and their password.
    async fn somebody(&self, login: &str, role: &str) -> String {
        let (user, project) = (Uuid::now_v7(), Uuid::from_u128(1));
        self.sql(&format!(
            "INSERT INTO ops.users (id, login) VALUES ('{user}', '{login}');
             INSERT INTO ops.project_members (project_id, user_id, role) VALUES ('{project}', '{user}', '{role}')"
        ))
        .await;
        let one_time = self.control.reset_password(login).await.unwrap();
        let signed_in = self.control.sign_in(login, &one_time, "::1").await.unwrap();
        let password = format!("correct horse of {login}");
        self.control.set_password(&signed_in.token, &password).await.unwrap();
        password
    }

    /// Where a person keeps their settings.
    fn home(&self, who: &str) -> PathBuf {
        self.top.path().join(who)
    }

    fn credentials(&self, who: &str) -> PathBuf {
        self.home(who).join("heddle/credentials.toml")
    }

    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEDDLE_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", self.home(who)).args(arguments);
        command
    }

    /// What a command ends with; it is given `input`.
    async fn run(&self, who: &str, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(who, arguments);
        let (input, line) = (input.to_owned(), format!("{arguments:?}"));
        let output = tokio::task::spawn_blocking(move || {
            let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // It may end without reading.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        });
        Ended::new(output.await.unwrap(), line)
    }

    async fn log_in(&self, who: &str, password: &str) -> Ended {
        self.run(who, &["login", &self.url, "--login", who], &format!("{password}\n")).await
    }
}

struct Ended {
    code: i32,
    out: String,
    errors: String,
    line: String,
}

impl Ended {
    fn new(output: Output, line: String) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            errors: text(output.stderr),
            line,
        }
    }

    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}: {}{}", self.line, self.out, self.errors);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.errors))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_in_acts_by_a_key_of_their_own() {
    let place = Place::new().await;
    let password = place.somebody("ada", "admin").await;
    let refused = place.log_in("ada", "wrong").await.code(7);
    assert!(refused.errors.contains("the login or the password is wrong"), "{}", refused.errors);
    assert!(!place.credentials("ada").exists());
    let elsewhere = place.run("ada", &["login", "http://console.example:7700"], "").await.code(2);
    assert!(elsewhere.errors.contains("not encrypted"), "{}", elsewhere.errors);
    place.run("ada", &["project", "list", "--url", &place.url], "").await.code(7);

    let told = place.log_in("ada", &password).await.code(0);
    assert!(told.out.contains("You are ada at http://127.0.0.1:"), "{}", told.out);
    let file = place.credentials("ada");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("hk_") && !kept.contains(&password) && !told.out.contains("hk_"));

    // Without a word on where.
    let projects = place.run("ada", &["project", "list", "--json"], "").await.code(0).json();
    assert_eq!(projects[0]["name"], "demo");
    // A named data folder is meant, and so is a key in the environment.
    let nowhere = place.top.path().join("nowhere");
    place.run("ada", &["project", "list", "--data", nowhere.to_str().unwrap()], "").await.code(7);
    let with_key = place.command("ada", &["project", "list"]).env("HEDDLE_API_KEY", "hk_a_b").output();
    assert_ne!(with_key.unwrap().status.code(), Some(0));

    // Again: the first key is good for nothing any more.
    let first = kept.split('"').find(|part| part.starts_with("hk_")).unwrap().to_owned();
    place.log_in("ada", &password).await.code(0);
    assert!(place.control.verify_api_key(&first).await.is_err());

    for (path, open, closed) in [(file.as_path(), 0o644, 0o600), (file.parent().unwrap(), 0o755, 0o700)] {
        fs::set_permissions(path, fs::Permissions::from_mode(open)).unwrap();
        let refused = place.run("ada", &["project", "list"], "").await.code(7);
        assert!(refused.errors.contains("chmod"), "{}", refused.errors);
        fs::set_permissions(path, fs::Permissions::from_mode(closed)).unwrap();
    }

    let kept = fs::read_to_string(&file).unwrap();
    let second = kept.split('"').find(|part| part.starts_with("hk_")).unwrap().to_owned();
    // A key that was brought along is kept as well, and only if it is good.
    place.run("grace", &["login", &place.url, "--key-stdin"], "hk_a_b\n").await.code(7);
    place.run("grace", &["login", &place.url, "--key-stdin"], &format!("{second}\n")).await.code(0);
    place.run("grace", &["project", "list"], "").await.code(0);
    place.run("grace", &["logout"], "").await.code(0);
    place.control.verify_api_key(&second).await.unwrap();
    place.run("ada", &["logout"], "").await.code(0);
    assert!(place.control.verify_api_key(&second).await.is_err());
    assert!(!fs::read_to_string(&file).unwrap().contains("hk_"));
    place.run("ada", &["logout"], "").await.code(3);
}

/// On a terminal, what is typed for a password is not shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_not_shown_while_it_is_typed() {
    let place = Place::new().await;
    let password = place.somebody("ada", "admin").await;
    let line = format!("{} login {} --login ada", env!("CARGO_BIN_EXE_heddle"), place.url);
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("XDG_CONFIG_HOME", place.home("ada"));
    let typed = password.clone();
    let shown = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut shown, mut piece) = (String::new(), [0; 512]);
        while !shown.contains("Password:") {
            let read = screen.read(&mut piece).unwrap();
            assert!(read > 0, "it never asked: {shown}");
            shown += &String::from_utf8_lossy(&piece[..read]);
        }
        keyboard.write_all(format!("{typed}\n").as_bytes()).unwrap();
        keyboard.flush().unwrap();
        screen.read_to_string(&mut shown).unwrap();
        assert!(child.wait().unwrap().success(), "{shown}");
        shown
    });
    let shown = shown.await.unwrap();
    assert!(shown.contains("You are ada") && !shown.contains(&password), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_asks_and_another_approves() {
    let place = Place::new().await;
    for (login, role) in [("olga", "owner"), ("ada", "admin")] {
        let password = place.somebody(login, role).await;
        place.log_in(login, &password).await.code(0);
    }
    let policy = ["policy", "set", "demo", "archive_tenant", "--stage", "production", "--approvals"];
    let set = |approvals| [&policy[..], &[approvals]].concat();
    let told = place.run("olga", &set("2"), "").await.code(0);
    assert_eq!(told.out, "archive_tenant in demo takes 2 of owner or admin, production.\n");
    place.run("olga", &set("1"), "").await.code(0);
    let listed = place.run("ada", &["policy", "list", "demo", "--json"], "").await.code(0).json();
    assert_eq!((&listed[0]["approvals"], &listed[0]["version"]), (&Value::from(1), &Value::from(2)));

    let archive = ["tenant", "archive", "acme", "--confirm", "acme", "--no-wait"];
    let refused = place.run("olga", &archive, "").await.code(3);
    assert!(refused.errors.contains("hint: ada may approve it until "), "{}", refused.errors);
    let pending = place.run("ada", &["approval", "list", "--json"], "").await.code(0).json();
    let id = pending[0]["id"].as_str().unwrap().to_owned();
    let list = place.run("ada", &["approval", "list"], "").await.code(0).out;
    assert!(list.contains("archive the tenant acme") && list.contains("0 of 1, ada"), "{list}");
    place.run("olga", &["approval", "approve", &id], "").await.code(7);
    let refuse = place.run("ada", &["approval", "refuse", &id, "--note", "not today"], "").await.code(0);
    assert!(refuse.out.contains("ada refused: not today"), "{}", refuse.out);
    place.run("olga", &archive, "").await.code(3);
    let pending = place.run("ada", &["approval", "list", "--json"], "").await.code(0).json();
    let id = pending[0]["id"].as_str().unwrap().to_owned();
    let approve = place.run("ada", &["approval", "approve", &id], "").await.code(0);
    assert!(approve.out.contains("olga may do it now"), "{}", approve.out);
    place.run("olga", &archive, "").await.code(0);
    let shown = place.run("olga", &["approval", "show", &id], "").await.code(0);
    assert!(shown.out.contains("granted"), "{}", shown.out);
    place.run("olga", &["approval", "show", &Uuid::nil().to_string()], "").await.code(3);
    place
        .run("olga", &["policy", "remove", "demo", "archive_tenant", "--stage", "production"], "")
        .await
        .code(0);
    place.run("olga", &["policy", "remove", "demo", "archive_tenant"], "").await.code(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_come_from_files_and_pipes() {
    let place = Place::new().await;
    let password = place.somebody("ada", "admin").await;
    place.log_in("ada", &password).await.code(0);
    let set = ["secret", "set", "TOKEN", "--tenant", "acme"];
    let told = place.run("ada", &set, "hunter2hunter2\n").await.code(0);
    assert!(told.out.starts_with("TOKEN of the tenant acme is set: version 1, fingerprint "), "{}", told.out);
    let file = place.top.path().join("token");
    fs::write(&file, "another value\n").unwrap();
    place.run("ada", &[&set[..], &["--file", file.to_str().unwrap()]].concat(), "").await.code(0);
    place.run("ada", &[&set[..], &["--replacing", "1"]].concat(), "late").await.code(3);
    let listed = place.run("ada", &["secret", "list", "--tenant", "acme"], "").await.code(0);
    assert!(listed.out.contains("tenant acme") && !listed.out.contains("another value"), "{}", listed.out);
    for (arguments, input, code) in [
        (&["secret", "set", "PATH", "--tenant", "acme"][..], "x", 3),
        (&["secret", "set", "TOKEN", "--tenant", "acme"], "", 3),
        (&["secret", "set", "TOKEN", "--tenant", "nobody"], "x", 3),
        (&["secret", "set", "TOKEN", "value", "--tenant", "acme"], "", 2),
        (&["secret", "set", "TOKEN"], "x", 2),
    ] {
        place.run("ada", arguments, input).await.code(code);
    }
    place.run("ada", &["secret", "remove", "TOKEN", "--tenant", "acme"], "").await.code(0);
    place.run("ada", &["secret", "remove", "TOKEN", "--tenant", "acme"], "").await.code(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_is_made_waited_for_and_destroyed() {
    let place = Place::new().await;
    let password = place.somebody("ada", "admin").await;
    place.log_in("ada", &password).await.code(0);
    let build = Uuid::from_u128(1).to_string();
    let create = ["env", "create", "demo/try", "--stage", "development", "--build", &build, "--wait"];
    place.run("ada", &create, "").await.code(0);
    let ready = place.run("ada", &["env", "wait", "demo/try"], "").await.code(0);
    assert!(ready.out.contains("it has no tenants"), "{}", ready.out);
    place.run("ada", &["env", "wait", "demo/nowhere"], "").await.code(3);
    place.run("ada", &["env", "wait", "demo/try", "--timeout", "soon"], "").await.code(2);

    // Its tenant was not made; then it is being made, and nobody makes it.
    let failed = place.run("ada", &["env", "wait", "demo/live"], "").await.code(6);
    assert!(failed.errors.contains("acme of demo/live was not made"), "{}", failed.errors);
    place.sql("UPDATE ops.tenants SET state = 'provisioning'").await;
    let late = place.run("ada", &["env", "wait", "demo/live", "--timeout", "1s"], "").await.code(10);
    assert!(late.errors.contains("acme: provisioning, starting\n") && late.out.is_empty(), "{}", late.errors);
    place.sql("UPDATE ops.tenants SET state = 'draft'").await;

    let needs = place.run("ada", &["env", "destroy", "demo/live"], "").await.code(5);
    assert!(needs.errors.contains("--confirm live"), "{}", needs.errors);
    place.run("ada", &["env", "destroy", "demo/live", "--confirm", "demo"], "").await.code(3);
    let told = place
        .run("ada", &["env", "destroy", "demo/live", "--confirm", "live", "--no-wait"], "")
        .await
        .code(0);
    assert_eq!(told.out, "demo/live is destroyed, and 1 tenants are archived.\n");
    place.run("ada", &["env", "destroy", "demo/try"], "").await.code(0);
    let left = place.run("ada", &["env", "list", "demo", "--json"], "").await.code(0).json();
    assert_eq!(left.as_array().map(Vec::len), Some(0));
    place.run("ada", &create, "").await.code(0);
}

//! The real Odoo named by HEDDLE_TEST_ODOO, on a PostgreSQL of its own.

mod keeper;
mod scratch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use model::program::Exit;
use odoo::log::Verdict;
use odoo::modules::{ModulesError, modules_exist};
use odoo::ready::{ROUTER_HEADER, ReadyError, alive, ready};
use odoo::sql::{FreshTenant, Health};
use odoo::{Series, Source, SourceError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::keeper::{Keeper, Mood};
use crate::scratch::{DATABASE, House};

const KEY: &str = "k3yk3yk3yk3yk3yk3yk3yk3y";
const HOST: &str = "acme.localhost:8080";

/// The Odoo to test with.
fn given_odoo() -> PathBuf {
    match std::env::var_os("HEDDLE_TEST_ODOO") {
        Some(path) => path.into(),
        None => panic!("HEDDLE_TEST_ODOO does not name an Odoo; `make test` makes one and sets it"),
    }
}

#[test]
fn an_odoo_is_found_or_what_is_missing_is_said() {
    let source = Source::detect(&given_odoo(), None).unwrap();
    assert!(source.addons.iter().any(|folder| folder.join("base/__manifest__.py").is_file()));
    source.check_requirements().unwrap();

    let missing = Source::detect(Path::new("/nonsuch/odoo"), None).unwrap_err();
    assert!(matches!(missing, SourceError::Missing(_)));
    let no_odoo = Source::detect(Path::new("/usr"), None).unwrap_err();
    assert!(no_odoo.to_string().contains("looked for odoo-bin with odoo/release.py"), "{no_odoo}");
    let no_python = Source::detect(&given_odoo(), Some(Path::new("/nonsuch/python"))).unwrap_err();
    assert!(matches!(no_python, SourceError::NoPython(_)));
}

#[test]
fn unsupported_and_closed_trees_are_refused() {
    let scratch = scratch::folder();
    let root = scratch.path().join("odoo");
    std::fs::create_dir_all(root.join("odoo/addons")).unwrap();
    std::fs::write(root.join("odoo-bin"), "").unwrap();
    for (version, wanted) in [("(10, 0, 0)", "10.0"), ("('saas~17', 4, 0)", "saas~17.4"), ("(20, 0)", "20.0")]
    {
        std::fs::write(root.join("odoo/release.py"), format!("version_info = {version}\n")).unwrap();
        let error = Source::detect(&root, None).unwrap_err();
        assert!(matches!(&error, SourceError::Unsupported { found, .. } if found == wanted), "{error}");
    }
    std::fs::write(root.join("odoo/release.py"), "version_info = (18, 0, 0, FINAL, 0, '')\n").unwrap();
    assert_eq!(Source::detect(&root, None).unwrap().series.to_string(), "18.0");
    if rustix::process::geteuid().is_root() {
        scratch::set_mode(&root, 0o700);
        let error = Source::detect(&root, None).unwrap_err();
        let SourceError::Unreadable { denied, .. } = error else { panic!("{error}") };
        assert_eq!(denied, root);
    }
}

#[test]
fn modules_are_looked_for_before_odoo_is_asked() {
    let source = Source::detect(&given_odoo(), None).unwrap();
    let check = |addons: &[&str], modules: &[&str]| {
        let addons: Vec<PathBuf> = addons.iter().map(PathBuf::from).collect();
        let modules: Vec<String> = modules.iter().map(|&module| module.to_owned()).collect();
        modules_exist(&source, &addons, &modules)
    };
    check(&[], &["base", "web"]).unwrap();
    let error = check(&[], &["base", "wbe"]).unwrap_err();
    assert!(error.to_string().starts_with("there is no module \"wbe\" (did you mean web"), "{error}");
    assert!(matches!(check(&[], &["base,../x"]), Err(ModulesError::BadName(_))));
    assert!(matches!(check(&["/usr"], &["base"]), Err(ModulesError::NotAddons(_))));
    assert!(matches!(check(&["/nonsuch"], &["base"]), Err(ModulesError::List(..))));
}

#[test]
fn passlib_verifies_our_hashes() {
    let source = Source::detect(&given_odoo(), None).unwrap();
    let hash = odoo::password::passlib_hash("pässwörd 'x'");
    let script = "import sys; from passlib.context import CryptContext; \
                  context = CryptContext(['pbkdf2_sha512']); \
                  assert context.verify(sys.argv[1], sys.argv[2]); \
                  assert not context.verify('other', sys.argv[2])";
    let status = Command::new(&source.python).args(["-c", script, "pässwörd 'x'", &hash]).status().unwrap();
    assert!(status.success());
}

/// From an empty cluster to a tenant that serves its router alone and whose
/// clean-up waits for the repository.
#[tokio::test]
async fn an_odoo_lives() {
    let source = Source::detect(&given_odoo(), None).unwrap();
    let house = House::new(source);

    let (exit, log) = house.init(&["base", "web", "heddle_hostile"]);
    assert_eq!(Verdict::of(exit, &log), Verdict::Good, "{log}");

    // Odoo ignores a module it does not know, and exits with 0
    let (exit, log) = house.init(&["nonsuch_module"]);
    assert_eq!(exit, Exit::Code(0));
    let Verdict::Failed { reason, lines } = Verdict::of(exit, &log) else { panic!("{log}") };
    assert_eq!(reason, "invalid module names, ignored: nonsuch_module");
    assert!(lines[0].contains("odoo.modules.loading"), "{lines:?}");

    let health: Vec<i64> =
        house.query(odoo::sql::health_sql()).split('|').map(|count| count.parse().unwrap()).collect();
    let health = Health::from_counts(health[0], health[1], health[2]);
    assert_eq!(health.problem(), None, "{health:?}");

    let fresh = FreshTenant {
        database_uuid: uuid::Uuid::now_v7(),
        secret: "it's $secret$ \\ x".into(),
        admin_password_hash: odoo::password::passlib_hash("n3w pässword"),
        base_url: "http://acme.localhost:8080".into(),
    };
    for _ in 0..2 {
        house.in_single_user_mode(&odoo::sql::fresh_tenant_sql(&fresh));
    }
    let parameter =
        |key: &str| house.query(&format!("SELECT value FROM ir_config_parameter WHERE key = '{key}'"));
    assert_eq!(parameter("database.uuid"), fresh.database_uuid.to_string());
    assert_eq!(parameter("database.secret"), fresh.secret);
    assert_eq!(parameter("web.base.url.freeze"), "True");

    house.write_router_key(KEY);
    let keeper = Keeper::new(&house.files_socket(), house.identity());
    let served = house.serve(0);
    let address = served.address;
    ready(address, HOST, KEY, Instant::now() + Duration::from_secs(90)).await.unwrap();
    alive(address, HOST, KEY, Duration::from_secs(10)).await.unwrap();
    only_the_router_is_answered(address).await;
    assert!(tokio::net::TcpStream::connect(served.gevent).await.is_err(), "threaded Odoo has one port");
    live_updates_are_served_at(address, house.series()).await;

    let client = Rpc { address, password: "n3w pässword" };
    assert_eq!(client.login("admin").await, json!(false), "the template's password still works");
    assert!(client.login(client.password).await.is_i64());
    removal_waits_for_the_repository(&house, &keeper, &client).await;
    a_hostile_addon_is_refused(&house, address).await;

    let late = ready(address, HOST, "wrong", Instant::now() + Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(late, ReadyError::WrongKey { .. }));
    assert_eq!(served.stop(Duration::from_secs(30)), Exit::Code(0));

    // prefork: the gevent process is guarded as well
    let served = house.serve(2);
    ready(served.address, HOST, KEY, Instant::now() + Duration::from_secs(90)).await.unwrap();
    only_the_router_is_answered(served.address).await;
    while tokio::net::TcpStream::connect(served.gevent).await.is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    only_the_router_is_answered(served.gevent).await;
    live_updates_are_served_at(served.gevent, house.series()).await;
    assert_eq!(served.stop(Duration::from_secs(130)), Exit::Code(0));

    // without its key file it answers nobody
    house.remove_router_key();
    let served = house.serve(0);
    let closed = ready(served.address, HOST, KEY, Instant::now() + Duration::from_secs(60)).await;
    assert!(matches!(closed, Err(ReadyError::WrongKey { .. })));
}

async fn only_the_router_is_answered(address: SocketAddr) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in
        ["/web/login", "/web/health", "/longpolling/poll", "/websocket", "/jsonrpc", "/web/database/list"]
    {
        for key in [None, Some("wrong"), Some("")] {
            let mut request = client.post(format!("http://{address}{path}")).body("{}");
            if let Some(key) = key {
                request = request.header(ROUTER_HEADER, key);
            }
            assert_eq!(request.send().await.unwrap().status(), 403, "{path} with key {key:?}");
        }
    }
    let twice = client.get(format!("http://{address}/web/health"));
    let twice = twice.header(ROUTER_HEADER, KEY).header(ROUTER_HEADER, "wrong").send().await.unwrap();
    assert_eq!(twice.status(), 403);
    let health = client.get(format!("http://{address}/web/health")).header(ROUTER_HEADER, KEY);
    let health: Value = health.send().await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "pass");
}

/// Odoo tells browsers over a WebSocket since 16, by long polling before.
async fn live_updates_are_served_at(address: SocketAddr, series: Series) {
    if !series.has_websocket() {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let poll = client.post(format!("http://{address}/longpolling/poll")).header(ROUTER_HEADER, KEY);
        let poll = poll.header("Host", HOST).json(&json!({"params": {"channels": [], "last": 0}}));
        // the route is bus's, which base and web do not bring: what counts is who answers
        let status = poll.timeout(Duration::from_secs(60)).send().await.unwrap().status();
        assert!(status == 200 || status == 404, "{status}");
        return;
    }
    for (key, wanted) in [("wrong", " 403 "), (KEY, " 101 ")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /websocket HTTP/1.1\r\nHost: {HOST}\r\nOrigin: http://{HOST}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {ROUTER_HEADER}: {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 200];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.lines().next().unwrap().contains(wanted), "{answer}");
    }
}

async fn removal_waits_for_the_repository(house: &House, keeper: &Keeper, client: &Rpc<'_>) {
    let before = house.filestore_files();
    let first = client.upload("first", b"the first file's bytes").await;
    let second = client.upload("second", b"the second file's bytes").await;
    let named: Vec<String> = house.query(odoo::sql::attachments_sql()).lines().map(str::to_owned).collect();
    let new: Vec<String> =
        house.filestore_files().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(new.len(), 2);
    assert!(new.iter().all(|name| named.contains(name)), "{new:?} not all in {named:?}");

    // nothing that is referred to goes, whatever the keeper says
    keeper.be(Mood::Keeping);
    client.clean_up().await;
    assert!(new.iter().all(|name| house.filestore_files().contains(name)));

    client.execute("ir.attachment", "unlink", json!([[first]])).await;
    for mood in [Mood::Absent, Mood::Full, Mood::HangingUp, Mood::Babbling] {
        keeper.be(mood);
        client.clean_up().await;
        assert!(new.iter().all(|name| house.filestore_files().contains(name)), "{mood:?}");
        assert_eq!(house.on_checklist(&new), 1, "{mood:?}: it would never be tried again");
    }

    keeper.be(Mood::Keeping);
    client.clean_up().await;
    let left: Vec<String> = house.filestore_files().into_iter().filter(|name| new.contains(name)).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(house.on_checklist(&new), 0);
    let gone = new.iter().find(|name| !left.contains(name)).unwrap();
    assert_eq!(keeper.kept(&gone[3..]).as_deref(), Some(b"the first file's bytes".as_slice()));

    // two clean-ups at once get along
    client.execute("ir.attachment", "unlink", json!([[second]])).await;
    tokio::join!(client.clean_up(), client.clean_up());
    assert!(!house.filestore_files().contains(&left[0]));
    assert_eq!(keeper.kept(&left[0][3..]).as_deref(), Some(b"the second file's bytes".as_slice()));
}

async fn a_hostile_addon_is_refused(house: &House, address: SocketAddr) {
    let attempts = json!([
        {"kind": "read_file", "path": "/etc/shadow"},
        {"kind": "read_proc", "pid": std::process::id(), "entry": "environ"},
        {"kind": "read_proc", "pid": std::process::id(), "entry": "mem"},
        {"kind": "signal_pid", "pid": std::process::id()},
        {"kind": "trace_pid", "pid": std::process::id()},
        {"kind": "setuid", "uid": 0},
        {"kind": "connect_tcp_http", "port": address.port(), "host": HOST},
        {"kind": "copy_program"},
        {"kind": "pg_read_file"},
        {"kind": "lo_import"},
        {"kind": "create_superuser"},
        {"kind": "become_superuser"},
        {"kind": "create_database"},
        {"kind": "alter_system"},
        // allowed, and said to be
        {"kind": "read_file", "path": house.router_key()},
        {"kind": "read_file", "path": "/nonsuch"},
        {"kind": "nonsuch"},
    ]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://{address}/heddle_hostile/try"))
        .header(ROUTER_HEADER, KEY)
        .header("Host", HOST)
        .header("Content-Type", "text/plain")
        .body(attempts.to_string());
    let answer: Value = answer.send().await.unwrap().json().await.unwrap();
    let tried = answer["attempts"].as_array().unwrap();
    assert_eq!(tried.len(), 17);
    let root = rustix::process::geteuid().is_root();
    for (at, one) in tried.iter().enumerate() {
        // without identities of their own, files and processes are no barrier
        if at >= 14 {
            assert_eq!(one["refused"], json!(false), "{one}");
        } else if root || at >= 6 {
            assert_eq!(one["refused"], json!(true), "{one}");
        }
    }
}

/// Odoo's JSON-RPC, as the router would pass it on.
struct Rpc<'a> {
    address: SocketAddr,
    password: &'a str,
}

impl Rpc<'_> {
    async fn call(&self, service: &str, method: &str, args: Value) -> Value {
        self.try_call(service, method, args).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&self, service: &str, method: &str, args: Value) -> Result<Value, Value> {
        let body = json!({
            "jsonrpc": "2.0", "method": "call", "id": 1,
            "params": {"service": service, "method": method, "args": args},
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("http://{}/jsonrpc", self.address)).header("Host", HOST);
        let answer: Value =
            request.header(ROUTER_HEADER, KEY).json(&body).send().await.unwrap().json().await.unwrap();
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }

    async fn login(&self, password: &str) -> Value {
        self.call("common", "login", json!([DATABASE, "admin", password])).await
    }

    async fn execute(&self, model: &str, method: &str, args: Value) -> Value {
        let uid = self.login(self.password).await;
        self.call("object", "execute_kw", json!([DATABASE, uid, self.password, model, method, args])).await
    }

    async fn upload(&self, name: &str, bytes: &[u8]) -> Value {
        use base64::Engine;
        let datas = base64::engine::general_purpose::STANDARD.encode(bytes);
        let created = self.execute("ir.attachment", "create", json!([{"name": name, "datas": datas}])).await;
        created.as_array().map_or(created.clone(), |ids| ids[0].clone())
    }

    /// Runs Odoo's nightly clean-up now.
    async fn clean_up(&self) {
        let domain = json!([["module", "=", "base"], ["name", "=", "autovacuum_job"]]);
        let found = self.execute("ir.model.data", "search_read", json!([domain, ["res_id"]])).await;
        let uid = self.login(self.password).await;
        let ids = json!([[found[0]["res_id"]]]);
        let args = json!([DATABASE, uid, self.password, "ir.cron", "method_direct_trigger", ids]);
        // refused while the same job runs elsewhere
        while let Err(error) = self.try_call("object", "execute_kw", args.clone()).await {
            assert!(error.to_string().contains("cannot be modified right now"), "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Runs a program to its end with its output in one text.
fn run(command: &mut Command) -> (Exit, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (scratch::exit(output.status), String::from_utf8_lossy(&text).into_owned())
}

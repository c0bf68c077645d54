//! `heddle audit` against a control that serves, and against a file alone.

#[path = "../../database/tests/it/scratch.rs"]
#[allow(dead_code)]
mod scratch;

use std::path::Path;
use std::process::{Command, Output};

use control::{Asked, AuditKey, Control, Requester, Settings};
use protocol::api::NewProject;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use scratch::Scratch;

/// A control with a project whose making is sealed.
struct Served {
    scratch: Scratch,
    control: Control,
    url: String,
    api_key: String,
    public: String,
    data: TempDir,
}

impl Served {
    async fn new() -> Self {
        let (scratch, data) = (Scratch::new().await, tempfile::tempdir().unwrap());
        let audit_key = AuditKey::parse(&AuditKey::draw().unwrap()).unwrap();
        let public = audit_key.public();
        let settings = Settings {
            audit_key: Some(audit_key),
            audit_heads: Some(data.path().join("audit-heads.jsonl")),
            ..Settings::default()
        };
        let control = Control::connect(&scratch.url(), settings).await.unwrap();
        let api_key = control.create_api_key("tests").await.unwrap().key;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = web::router(web::WebState::new(control.clone(), "the platform's"));
        tokio::spawn(web::serve(listener, router, std::future::pending()));
        let served = Self { scratch, control, url, api_key, public, data };
        for name in ["demo", "other"] {
            let asked = Asked::by(Requester::Platform);
            served.control.create_project(&asked, NewProject { name: name.into() }).await.unwrap();
            served.seal().await;
        }
        served
    }

    /// Other tests' transactions on the same server may be in the way for a moment.
    async fn seal(&self) {
        let admin = self.scratch.admin().await;
        let left = "SELECT count(*) FROM ops.audit WHERE id > (SELECT sealed FROM ops.audit_horizon)";
        loop {
            control::reconcile::audit::tick(&self.control).await.unwrap();
            if admin.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn heddle(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
        command
            .args(arguments)
            .env("HEDDLE_URL", &self.url)
            .env("HEDDLE_API_KEY", &self.api_key)
            .env("HEDDLE_DATA", self.data.path());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn sql(&self, sql: &str) {
        self.scratch.admin().await.batch_execute(sql).await.unwrap();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    text(output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_audit_is_listed_exported_and_verified() {
    let served = Served::new().await;
    let listed = ended(&served.heddle(&["audit", "list", "--project", "demo"]).await, 0);
    assert!(listed.contains("projects.created") && listed.contains("name demo"), "{listed}");
    let listed =
        ended(&served.heddle(&["audit", "list", "--json", "--since", "5m ago", "-n", "1000"]).await, 0);
    let rows: Value = serde_json::from_str(&listed).unwrap();
    assert!(rows.as_array().unwrap().iter().any(|row| row["act"] == "api_keys.created"), "{listed}");

    let verified = ended(&served.heddle(&["audit", "verify"]).await, 0);
    assert!(verified.contains("demo: 1 rows in 1 blocks: sound"), "{verified}");
    assert!(verified.contains("what belongs to no project: "), "{verified}");
    assert!(verified.contains(&format!("Signed by {}", served.public)), "{verified}");

    // A chain goes into a file, and is checked there by nothing but the file.
    let folder = tempfile::tempdir().unwrap();
    let (chain, heads) = (folder.path().join("demo.jsonl"), folder.path().join("heads.jsonl"));
    let keep = async |arguments: &[&str], path: &Path| {
        let output = served.heddle(arguments).await;
        ended(&output, 0);
        std::fs::write(path, &output.stdout).unwrap();
    };
    keep(&["audit", "export", "--project", "demo"], &chain).await;
    keep(&["audit", "export", "--heads"], &heads).await;
    assert_eq!(std::fs::read_to_string(&heads).unwrap().lines().count(), 3);
    let (chain, heads) = (chain.to_str().unwrap(), heads.to_str().unwrap());
    let alone = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_heddle"))
            .args(["audit", "verify", "--file", chain])
            .args(arguments)
            .env("HEDDLE_DATA", "/nonexistent")
            .output()
            .unwrap()
    };
    ended(&alone(&[]), 0);
    ended(&alone(&["--key", &served.public, "--head", heads]), 0);
    let other = ended(&alone(&["--key", &"ab".repeat(32)]), 9);
    assert!(other.contains("signature: in block 1: it is signed by another key"), "{other}");
    let written = std::fs::read_to_string(chain).unwrap();
    std::fs::write(chain, written.replace("projects.created", "projects.removed")).unwrap();
    let found = ended(&alone(&[]), 9);
    assert!(found.contains("changed: row ") && found.contains("NOT sound"), "{found}");
    std::fs::write(chain, written.lines().next().unwrap()).unwrap();
    let found = ended(&alone(&[]), 9);
    assert!(found.contains("removed: row ") && found.contains("cut-off: "), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_named_and_end_with_9() {
    let served = Served::new().await;
    served
        .sql("ALTER TABLE ops.audit DISABLE TRIGGER ALL; ALTER TABLE ops.audit_blocks DISABLE TRIGGER ALL")
        .await;
    served.sql("UPDATE ops.audit SET actor = 'user:nobody' WHERE act = 'projects.created'").await;
    let found = ended(&served.heddle(&["audit", "verify"]).await, 9);
    assert!(found.contains("demo: changed: row ") && found.contains("other: changed: row "), "{found}");
    assert!(found.contains("error: the audit has 2 findings"), "{found}");
    let output = served.heddle(&["audit", "verify", "--project", "other", "--json"]).await;
    ended(&output, 9);
    let chains: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(chains.as_array().unwrap().len(), 1);
    assert_eq!(chains[0]["findings"][0]["kind"], "changed");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "findings");

    // A whole chain is gone: control's own heads miss it.
    served
        .sql(
            "DELETE FROM ops.audit_blocks b USING ops.projects p WHERE p.id = b.chain AND p.name = 'demo';
             DELETE FROM ops.audit a USING ops.projects p WHERE p.id = a.project_id AND p.name = 'demo'",
        )
        .await;
    let found = ended(&served.heddle(&["audit", "verify", "--project", "-"]).await, 0);
    assert!(!found.contains("demo"), "{found}");
    let found = ended(&served.heddle(&["audit", "verify"]).await, 9);
    assert!(found.contains("cut-off: in block 0: the chain ends with 0 rows"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_inputs_say_what_to_do() {
    let served = Served::new().await;
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "{}\n").unwrap();
    let refused = served.heddle(&["audit", "verify", "--head", empty.to_str().unwrap()]).await;
    assert!(ended(&refused, 3).contains("there is no head in"));
    let refused = ended(&served.heddle(&["audit", "verify", "--project", "nobodys"]).await, 3);
    assert!(refused.contains("no chain of nobodys") && refused.contains("hint: "), "{refused}");
    ended(&served.heddle(&["audit", "verify", "--file", "/nonexistent"]).await, 1);
    ended(&served.heddle(&["audit", "export"]).await, 2);
    ended(&served.heddle(&["audit", "list", "--subject", "nobody"]).await, 3);
    let refused = served.heddle(&["audit", "export", "--project", "nobodys"]).await;
    ended(&refused, 3);
}

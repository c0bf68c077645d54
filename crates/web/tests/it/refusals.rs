//! Wrong requests of every kind: each answered with the right status, a stable
//! kind, what is wrong and what to do, as the document says; nothing is made of
//! any of them.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Request};
use control::Principal;
use model::access::{Permission, Role};
use model::run::RunKind;
use model::{UserId, WorkerId};
use protocol::api::{CreatedTenant, Page, Run, Snapshot, Tenant};
use protocol::internal::Claimed;
use protocol::people::{NewApiKey, NewUser, SetMember};
use serde_json::{Value, json};

use crate::site::{Answered, PLATFORM_KEY, Site, Worker};

/// A request, and how it must be refused.
struct Row {
    what: &'static str,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    status: u16,
    kind: &'static str,
    /// What detail or hint must name.
    names: Vec<String>,
}

fn row(what: &'static str, method: Method, path: &str, status: u16, kind: &'static str) -> Row {
    let headers = HeaderMap::new();
    Row { what, method, path: path.into(), headers, body: Vec::new(), status, kind, names: Vec::new() }
}

impl Row {
    fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    fn json(self, body: Value) -> Self {
        self.raw(&serde_json::to_vec(&body).unwrap())
    }

    /// JSON, or what calls itself so.
    fn raw(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("content-type", "application/json")
    }

    fn names(mut self, names: &[&str]) -> Self {
        self.names.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }
}

/// What the rows speak of.
struct Scene<'a> {
    site: &'a Site,
    acme: Tenant,
    /// A snapshot of acme's.
    snapshot: Snapshot,
    /// Waits for a worker; is under way; has ended.
    queued: Run,
    running: Claimed,
    worker: WorkerId,
    ended: Run,
    /// Keys by who they are of, or by what is wrong with them.
    keys: BTreeMap<&'static str, String>,
}

impl<'a> Scene<'a> {
    async fn set(site: &'a Site, worker: &Worker<'a>) -> Self {
        let (placed, backup) = worker.tenant("acme").await;
        worker.tenant("globex").await;
        site.post("/api/v1/tenants/globex/archive", json!({"confirm": "globex"})).await.good::<Value>();
        let snapshot: Snapshot =
            site.post("/api/v1/tenants/acme/snapshots", json!({"name": "mine"})).await.good();
        worker.take_snapshot(placed, backup).await;
        site.post("/api/v1/tenants", json!({"environment": "demo/production", "name": "initech"}))
            .await
            .good::<Value>();
        let running = worker.claim(RunKind::Provision).await;
        let created: CreatedTenant = site
            .post("/api/v1/tenants", json!({"environment": "demo/production", "name": "hooli"}))
            .await
            .good();
        let ended: Page<Run> = site.get("/api/v1/runs?state=succeeded&limit=1").await.good();
        Self {
            site,
            acme: site.get("/api/v1/tenants/acme").await.good(),
            snapshot,
            queued: created.run,
            running,
            worker: worker.id,
            ended: ended.items[0].clone(),
            keys: keys(site).await,
        }
    }

    fn to(&self, what: &'static str, method: Method, path: &str, status: u16, kind: &'static str) -> Row {
        row(what, method, path, status, kind).key(&self.site.key)
    }

    fn get(&self, what: &'static str, path: &str, status: u16, kind: &'static str) -> Row {
        self.to(what, Method::GET, path, status, kind)
    }

    fn post(&self, what: &'static str, path: &str, body: Value, status: u16, kind: &'static str) -> Row {
        self.to(what, Method::POST, path, status, kind).json(body)
    }

    fn change(
        &self,
        what: &'static str,
        condition: &str,
        body: Value,
        status: u16,
        kind: &'static str,
    ) -> Row {
        let row = self.to(what, Method::PATCH, "/api/v1/tenants/acme", status, kind).json(body);
        if condition.is_empty() { row } else { row.header("if-match", condition) }
    }
}

/// People with a role each, and keys that are good for less, or for nothing.
async fn keys(site: &Site) -> BTreeMap<&'static str, String> {
    let control = &site.control;
    let mut keys = BTreeMap::from([("operator", site.key.clone()), ("platform", PLATFORM_KEY.to_owned())]);
    let admin = site.scratch.admin().await;
    for (login, role) in [("vera", Some(Role::Viewer)), ("dora", Some(Role::Developer)), ("otto", None)] {
        control.create_user(NewUser { login: login.into(), operator: false }).await.unwrap();
        if let Some(role) = role {
            control.set_member("demo", login, SetMember { role }, None).await.unwrap();
        }
        let user = admin.query_one("SELECT id FROM ops.users WHERE login = $1", &[&login]).await.unwrap();
        let person = control.acting_as(&Principal::user(UserId(user.get(0))));
        keys.insert(login, person.create_api_key(login).await.unwrap().key);
    }
    let reading = NewApiKey { name: "reads".into(), scopes: vec![Permission::Read], ..NewApiKey::default() };
    keys.insert("reading", control.create_key(reading).await.unwrap().key);
    let revoked = control.create_api_key("revoked").await.unwrap();
    control.revoke_api_key(revoked.api_key.id.into()).await.unwrap();
    keys.insert("revoked", revoked.key);
    let expired = control.create_api_key("expired").await.unwrap();
    let sql = "UPDATE ops.api_keys SET expires_at = now() - interval '1 second' WHERE name = 'expired'";
    admin.batch_execute(sql).await.unwrap();
    keys.insert("expired", expired.key);
    let disabled = NewUser { login: "gone".into(), operator: true };
    control.create_user(disabled).await.unwrap();
    let user = admin.query_one("SELECT id FROM ops.users WHERE login = 'gone'", &[]).await.unwrap();
    let person = control.acting_as(&Principal::user(UserId(user.get(0))));
    keys.insert("gone", person.create_api_key("gone").await.unwrap().key);
    control.disable_user("gone").await.unwrap();
    keys
}

fn who(scene: &Scene<'_>) -> Vec<Row> {
    let list = "/api/v1/tenants";
    let get = |what, key: &str| row(what, Method::GET, list, 401, "unauthenticated").key(key).names(&["key"]);
    let with = |name: &str| scene.keys[name].as_str();
    let changed = format!("{}x", scene.site.key);
    let as_who = |who: &str, row: Row| row.key(with(who));
    let new = |name: &str| json!({"environment": "demo/production", "name": name});
    vec![
        row("no key at all", Method::GET, list, 401, "unauthenticated").names(&["Authorization"]),
        row("another scheme", Method::GET, list, 401, "unauthenticated")
            .header("authorization", "Basic YTpi")
            .names(&["Authorization"]),
        get("an empty key", ""),
        get("a key that is none", "hk_"),
        get("a key of nobody", "hk_aaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        get("a key with a letter more", &changed),
        get("a revoked key", with("revoked")).names(&["revoked"]),
        get("an expired key", with("expired")).names(&["expired"]),
        get("the platform's own key", with("platform")),
        row("no key, and nothing there", Method::GET, "/api/v1/no/such/thing", 401, "unauthenticated"),
        row("a user's key for workers", Method::GET, "/internal/routes", 401, "unauthenticated")
            .key(with("operator"))
            .names(&["platform key"]),
        row("no key for workers", Method::POST, "/internal/workers", 401, "unauthenticated")
            .names(&["platform.key"]),
        as_who("otto", scene.get("a foreign tenant", "/api/v1/tenants/acme", 404, "not-found"))
            .names(&["acme"]),
        as_who("otto", scene.get("a foreign project", "/api/v1/projects/demo", 404, "not-found"))
            .names(&["demo"]),
        as_who(
            "otto",
            scene.get("a foreign environment", "/api/v1/environments/demo/production", 404, "not-found"),
        ),
        as_who(
            "otto",
            scene.get("a foreign run", &format!("/api/v1/runs/{}", scene.ended.id), 404, "not-found"),
        ),
        as_who(
            "otto",
            scene.get(
                "a foreign run's log",
                &format!("/api/v1/runs/{}/stream", scene.ended.id),
                404,
                "not-found",
            ),
        ),
        as_who("otto", scene.post("a tenant for a foreign environment", list, new("mine"), 404, "not-found")),
        as_who(
            "otto",
            scene.change("a change of a foreign tenant", "*", json!({"tier": "pro"}), 404, "not-found"),
        ),
        as_who("gone", scene.get("whose user was disabled", "/api/v1/tenants/acme", 401, "unauthenticated"))
            .names(&["disabled"]),
        as_who("vera", scene.post("a viewer who makes", list, new("mine"), 403, "forbidden"))
            .names(&["role"]),
        as_who(
            "vera",
            scene.post("a viewer who suspends", "/api/v1/tenants/acme/suspend", json!({}), 403, "forbidden"),
        ),
        as_who(
            "dora",
            scene.post(
                "a developer in production",
                "/api/v1/tenants/acme/suspend",
                json!({}),
                403,
                "forbidden",
            ),
        )
        .names(&["operate", "demo/production"]),
        as_who(
            "dora",
            scene.change("a developer's change in production", "*", json!({"tier": "pro"}), 403, "forbidden"),
        )
        .names(&["operate"]),
        as_who(
            "dora",
            scene.post(
                "a project by a developer",
                "/api/v1/projects",
                json!({"name": "own"}),
                403,
                "forbidden",
            ),
        )
        .names(&["operator"]),
        as_who(
            "reading",
            scene.post("a key that only reads", "/api/v1/projects", json!({"name": "own"}), 403, "forbidden"),
        )
        .names(&["scope"]),
        as_who(
            "reading",
            scene.change("a reading key that changes", "*", json!({"tier": "pro"}), 403, "forbidden"),
        ),
    ]
}

fn shapes(scene: &Scene<'_>) -> Vec<Row> {
    let tenants = "/api/v1/tenants";
    let projects = "/api/v1/projects";
    let raw =
        |what, body: &[u8], status, kind| scene.to(what, Method::POST, projects, status, kind).raw(body);
    let json = |what, body, status| scene.post(what, projects, body, status, "invalid");
    let mut large = b"{\"name\": \"".to_vec();
    large.resize(2 << 20, b'a');
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let deep = [b"{\"name\": ".as_slice(), &deep, b"}"].concat();
    let long = format!("/api/v1/tenants?environment={}", "a".repeat(9000));
    vec![
        raw("a body that is too large", &large, 413, "too-large").names(&["1 MiB"]),
        scene
            .get("headers that are too large", tenants, 431, "too-large")
            .header("x-filler", &"a".repeat(20_000))
            .names(&["16 KiB"]),
        scene.get("an address that is too long", &long, 414, "too-large").names(&["8 KiB"]),
        raw("malformed JSON", b"{\"name\": ", 400, "invalid").names(&["JSON"]),
        raw("nothing where JSON should be", b"", 400, "invalid").names(&["JSON"]),
        raw("two bodies in one", b"{\"name\":\"a\"}{\"name\":\"b\"}", 400, "invalid"),
        raw("deeply nested", &deep, 422, "invalid"),
        raw("invalid UTF-8", b"{\"name\":\"\xff\xfe\"}", 400, "invalid"),
        raw("a NUL", b"{\"name\":\"a\\u0000b\"}", 400, "invalid").names(&["NUL"]),
        raw("a raw NUL", b"{\"name\":\"a\0b\"}", 400, "invalid"),
        raw("half a surrogate", b"{\"name\":\"\\ud800\"}", 400, "invalid"),
        raw("a field twice", b"{\"name\":\"a\",\"name\":\"b\"}", 422, "invalid").names(&["duplicate"]),
        raw("a number past all bounds", b"{\"name\":1e400}", 400, "invalid"),
        json("a wrong type", json!({"name": 7}), 422).names(&["name"]),
        json("null for a name", json!({"name": null}), 422),
        json("an unknown field", json!({"name": "a", "colour": 1}), 422).names(&["colour"]),
        json("a missing field", json!({}), 422).names(&["name"]),
        json("an array for an object", json!(["name"]), 422).names(&["object"]),
        json("a text for an object", json!("name"), 422),
        scene.to("no content type", Method::POST, projects, 415, "invalid").names(&["application/json"]),
        scene
            .post("a wrong content type", projects, json!({"name": "a"}), 415, "invalid")
            .header("content-type", "text/plain"),
        scene
            .post("a form for JSON", projects, json!({}), 415, "invalid")
            .header("content-type", "application/x-www-form-urlencoded"),
        json("an empty name", json!({"name": ""}), 400).names(&["a-z"]),
        json("a bad name", json!({"name": "Not Good"}), 400).names(&["a-z"]),
        json("a long name", json!({"name": "a".repeat(64)}), 400).names(&["63"]),
        json("a name with a line's end", json!({"name": "a\n"}), 400),
        scene
            .to("wrong method", Method::DELETE, "/api/v1/tenants/acme", 405, "wrong-method")
            .names(&["Allow"]),
        scene.to(
            "a method that nobody knows",
            Method::from_bytes(b"FETCH").unwrap(),
            tenants,
            405,
            "wrong-method",
        ),
        scene.to("GET of an act", Method::GET, "/api/v1/tenants/acme/suspend", 405, "wrong-method"),
        scene.get("nothing there", "/api/v1/tenant", 404, "not-found").names(&["openapi.json"]),
        scene.get("nothing there outside v1", "/api/v2/tenants", 404, "not-found"),
        scene.get("a NUL in the address", "/api/v1/tenants/%00", 400, "invalid").names(&["NUL"]),
        scene.get("a NUL in the query", "/api/v1/tenants?environment=%00", 400, "invalid").names(&["NUL"]),
        scene.get("no UTF-8 in the address", "/api/v1/tenants/%ff", 404, "not-found"),
        scene.get("a climb out of the folder", "/api/v1/tenants/..%2f..%2fetc", 404, "not-found"),
        scene.get("an id that is none", "/api/v1/runs/seven", 404, "not-found").names(&["UUID"]),
        scene
            .get("an unknown parameter", "/api/v1/tenants?enviroment=demo", 400, "invalid")
            .names(&["enviroment", "environment"]),
        scene
            .get("a parameter where there is none", "/api/v1/status?full=1", 400, "invalid")
            .names(&["none"]),
        scene.get("a parameter twice", "/api/v1/tenants?limit=1&limit=2", 400, "invalid").names(&["limit"]),
        scene
            .get("a cursor that is garbage", "/api/v1/tenants?after=%22%22%27", 400, "invalid")
            .names(&["next"]),
        scene.get("a cursor of another list", "/api/v1/builds?after=acme", 400, "invalid").names(&["next"]),
        scene.get("a cursor of one part", "/api/v1/environments?after=demo", 400, "invalid"),
        scene.get("no piece at all", "/api/v1/tenants?limit=0", 400, "invalid").names(&["1000"]),
        scene.get("too large a piece", "/api/v1/builds?limit=1001", 400, "invalid").names(&["1000"]),
        scene.get("too large a piece of runs", "/api/v1/runs?limit=1001", 400, "invalid"),
        scene.get("less than nothing", "/api/v1/projects?limit=-1", 400, "invalid"),
        scene.get("more than a number holds", "/api/v1/projects?limit=99999999999999999999", 400, "invalid"),
        scene.get("an unknown state", "/api/v1/runs?state=dancing", 400, "invalid").names(&["dancing"]),
        scene.get("an unknown log", "/api/v1/tenants/acme/log?source=mail", 400, "invalid").names(&["mail"]),
        scene.get("no lines", "/api/v1/tenants/acme/log?lines=0", 400, "invalid"),
        scene.get("too many lines", "/api/v1/tenants/acme/log?lines=10001", 400, "invalid"),
        scene.get(
            "events from before the first",
            &format!("/api/v1/runs/{}/events?after=-1", scene.ended.id),
            400,
            "invalid",
        ),
        scene
            .get("a stream from nowhere", &format!("/api/v1/runs/{}/stream", scene.ended.id), 400, "invalid")
            .header("last-event-id", "seven")
            .names(&["Last-Event-ID"]),
    ]
}

fn again(scene: &Scene<'_>) -> Vec<Row> {
    let once = |what, path: &str, body, status, kind: &'static str, key: &str| {
        scene.post(what, path, body, status, kind).header("idempotency-key", key)
    };
    let tenant = |name: &str| json!({"environment": "demo/production", "name": name});
    let version = scene.acme.version;
    let pro = || json!({"tier": "pro"});
    vec![
        once("a key with another tenant", "/api/v1/tenants", tenant("umbrella"), 422, "key-reused", "tenant")
            .names(&["new key"]),
        once(
            "a key with another project",
            "/api/v1/projects",
            json!({"name": "three"}),
            422,
            "key-reused",
            "project",
        ),
        once(
            "a key with another environment",
            "/api/v1/environments",
            json!({"project": "demo", "name": "other", "stage": "staging"}),
            422,
            "key-reused",
            "environment",
        ),
        once(
            "a key of a tenant with a project",
            "/api/v1/projects",
            json!({"name": "three"}),
            422,
            "key-reused",
            "tenant",
        ),
        once(
            "a key with another snapshot",
            "/api/v1/tenants/acme/snapshots",
            json!({"name": "a"}),
            422,
            "key-reused",
            "tenant",
        ),
        once("an empty key", "/api/v1/projects", json!({"name": "three"}), 400, "invalid", "")
            .names(&["Idempotency-Key"]),
        once("a long key", "/api/v1/projects", json!({"name": "three"}), 400, "invalid", &"k".repeat(201)),
        once("a key with a space", "/api/v1/projects", json!({"name": "three"}), 400, "invalid", "a b"),
        scene.change("an edit of no version", "", pro(), 428, "unconditional").names(&["If-Match"]),
        scene
            .change("an edit of an old version", &format!("\"{}\"", version - 1), pro(), 412, "changed")
            .names(&["read it again"]),
        scene.change("an edit of a later version", &format!("\"{}\"", version + 1), pro(), 412, "changed"),
        scene
            .change("a version without quotes", &version.to_string(), pro(), 400, "invalid")
            .names(&["quotes"]),
        scene.change("a weak version", &format!("W/\"{version}\""), pro(), 400, "invalid"),
        scene.change("two versions", &format!("\"{version}\", \"1\""), pro(), 400, "invalid"),
        scene.change("a version that is no number", "\"seven\"", pro(), 400, "invalid"),
        scene.change("a version past all bounds", "\"9999999999999999999\"", pro(), 400, "invalid"),
        scene.change("no change", "*", json!({}), 400, "invalid").names(&["nothing"]),
        scene.change("an unknown tier", "*", json!({"tier": "gold"}), 422, "invalid").names(&["gold"]),
        scene.change("null for a tier", "*", json!({"tier": null}), 422, "invalid"),
        scene.change("no users", "*", json!({"max_users": 0}), 400, "invalid").names(&["users"]),
        scene.change("more users than there are", "*", json!({"max_users": 1_000_001}), 400, "invalid"),
        scene.change(
            "storage past all disks",
            "*",
            json!({"max_storage_bytes": 1_i64 << 51}),
            400,
            "invalid",
        ),
        scene.change("more than a number holds", "*", json!({"max_users": 1_i64 << 40}), 422, "invalid"),
        scene.change(
            "an end before the calendar",
            "*",
            json!({"subscription_ends_at": "-009000-01-01T00:00:00Z"}),
            400,
            "invalid",
        ),
        scene
            .change("what cannot be changed", "*", json!({"subdomain": "other"}), 422, "invalid")
            .names(&["subdomain"]),
    ]
}

fn states(scene: &Scene<'_>) -> Vec<Row> {
    let nobody = "00000000-0000-7000-8000-000000000000";
    let act = |what, run: &dyn std::fmt::Display, verb: &str, status, kind| {
        scene.post(what, &format!("/api/v1/runs/{run}/{verb}"), json!({}), status, kind)
    };
    let tenant = |what, body, status, kind| scene.post(what, "/api/v1/tenants", body, status, kind);
    let named = |name: &str| json!({"environment": "demo/production", "name": name});
    let restore = |what, name: &str, body, status, kind| {
        scene.post(what, &format!("/api/v1/tenants/{name}/restores"), body, status, kind)
    };
    let peek = |what, body, status, kind| scene.post(what, "/api/v1/tenants/acme/peeks", body, status, kind);
    let no_peek = format!("/api/v1/tenants/acme/peeks/{nobody}");
    let fence = scene.running.fence - 1;
    let stale = |what, verb: &str, body: Value| {
        let path = format!("/internal/runs/{}/{verb}", scene.running.run);
        let row = row(what, Method::POST, &path, 409, "stale").key(PLATFORM_KEY);
        row.header("heddle-worker", &scene.worker.to_string()).json(body)
    };
    let environment = |what, condition: &str, build: &str, status, kind| {
        let path = "/api/v1/environments/demo/production";
        scene
            .to(what, Method::PATCH, path, status, kind)
            .header("if-match", condition)
            .json(json!({"build": build}))
    };
    vec![
        scene.get("an unknown run", &format!("/api/v1/runs/{nobody}"), 404, "not-found").names(&["run list"]),
        scene.get("an unknown tenant", "/api/v1/tenants/nobody", 404, "not-found").names(&["tenant list"]),
        scene.get("an unknown build", &format!("/api/v1/builds/{nobody}"), 404, "not-found"),
        scene.get("an unknown restore", &format!("/api/v1/restores/{nobody}"), 404, "not-found"),
        scene
            .get("an unknown snapshot", "/api/v1/tenants/acme/snapshots/none", 404, "not-found")
            .names(&["snapshot list"]),
        scene
            .get("an unknown project", "/api/v1/builds?project=none", 404, "not-found")
            .names(&["project list"]),
        act("cancel of an unknown run", &nobody, "cancel", 404, "not-found"),
        act("cancel of an ended run", &scene.ended.id, "cancel", 409, "wrong-state"),
        act("retry of an ended run", &scene.ended.id, "retry", 409, "wrong-state"),
        act("retry of a running run", &scene.running.run, "retry", 409, "wrong-state").names(&["running"]),
        act("retry of a queued run", &scene.queued.id, "retry", 409, "wrong-state").names(&["queued"]),
        tenant("a taken name", named("acme"), 409, "taken").names(&["another name"]),
        tenant(
            "a taken subdomain",
            json!({"environment": "demo/production", "name": "new", "subdomain": "acme"}),
            409,
            "taken",
        ),
        tenant("a reserved subdomain", named("www"), 400, "invalid").names(&["reserved"]),
        tenant("a short subdomain", named("ab"), 400, "invalid").names(&["--subdomain"]),
        tenant(
            "an unknown environment",
            json!({"environment": "demo/none", "name": "new"}),
            404,
            "not-found",
        )
        .names(&["env list"]),
        tenant(
            "PostgreSQL's own database",
            json!({"environment": "demo/production", "name": "new", "database": "postgres"}),
            400,
            "invalid",
        ),
        scene
            .post(
                "a build of nothing",
                "/api/v1/builds",
                json!({"project": "demo", "odoo": "/o", "modules": []}),
                400,
                "invalid",
            )
            .names(&["base"]),
        scene.post(
            "a relative path",
            "/api/v1/builds",
            json!({"project": "demo", "odoo": "o", "modules": ["base"]}),
            400,
            "invalid",
        ),
        scene.post(
            "a long path",
            "/api/v1/builds",
            json!({"project": "demo", "odoo": format!("/{}", "o".repeat(4000)), "modules": ["base"]}),
            400,
            "invalid",
        ),
        scene.post(
            "no module's name",
            "/api/v1/builds",
            json!({"project": "demo", "odoo": "/o", "modules": ["a-b"]}),
            400,
            "invalid",
        ),
        scene.post(
            "too many modules",
            "/api/v1/builds",
            json!({"project": "demo", "odoo": "/o", "modules": vec!["base"; 1001]}),
            400,
            "invalid",
        ),
        scene
            .post(
                "a second production",
                "/api/v1/environments",
                json!({"project": "demo", "name": "live", "stage": "production"}),
                409,
                "taken",
            )
            .names(&["staging"]),
        scene.post(
            "archive with another name",
            "/api/v1/tenants/acme/archive",
            json!({"confirm": "globex"}),
            400,
            "invalid",
        ),
        scene.post(
            "shredding with another name",
            "/api/v1/tenants/acme/shred",
            json!({"confirm": "globex"}),
            400,
            "invalid",
        ),
        scene
            .post(
                "shredding a tenant that is served",
                "/api/v1/tenants/acme/shred",
                json!({"confirm": "acme"}),
                409,
                "wrong-state",
            )
            .names(&["heddle tenant archive acme"]),
        scene.post(
            "a snapshot with a note without an end",
            "/api/v1/tenants/acme/snapshots",
            json!({"note": "x".repeat(501)}),
            400,
            "invalid",
        ),
        scene.post(
            "a pin of no snapshot",
            "/api/v1/tenants/acme/snapshots/nothing/pin",
            json!({}),
            404,
            "not-found",
        ),
        scene.post(
            "suspend of an archived tenant",
            "/api/v1/tenants/globex/suspend",
            json!({}),
            409,
            "wrong-state",
        ),
        scene.post(
            "a snapshot of an archived tenant",
            "/api/v1/tenants/globex/snapshots",
            json!({}),
            409,
            "wrong-state",
        ),
        scene
            .to("a change of an archived tenant", Method::PATCH, "/api/v1/tenants/globex", 409, "wrong-state")
            .header("if-match", "*")
            .json(json!({"tier": "pro"})),
        scene.post(
            "a taken snapshot",
            "/api/v1/tenants/acme/snapshots",
            json!({"name": "mine"}),
            409,
            "taken",
        ),
        scene.post(
            "a snapshot that expires before it is taken",
            "/api/v1/tenants/acme/snapshots",
            json!({"expires_at": "2001-01-01T00:00:00Z"}),
            400,
            "invalid",
        ),
        scene.get("an unknown peek", &no_peek, 404, "not-found").names(&["peek list"]),
        scene.to("an end of no peek", Method::DELETE, &no_peek, 404, "not-found").names(&["peek list"]),
        scene.get("peeks of no tenant", "/api/v1/tenants/nobody/peeks", 404, "not-found"),
        scene.post(
            "a peek into an archived tenant",
            "/api/v1/tenants/globex/peeks",
            json!({}),
            409,
            "wrong-state",
        ),
        peek("a peek at no position", json!({"lsn": "zero"}), 400, "invalid").names(&["0/3000148"]),
        peek("a peek at two points", json!({"snapshot": "mine", "lsn": "0/1"}), 400, "invalid"),
        peek("a peek for a moment", json!({"seconds": 1}), 400, "invalid"),
        peek("a peek for a week", json!({"seconds": 604_800}), 400, "invalid"),
        peek("a peek to come", json!({"at": "2999-01-01T00:00:00Z"}), 400, "invalid").names(&["future"]),
        peek("a peek at no snapshot", json!({"snapshot": "none"}), 404, "not-found"),
        peek("a peek at what is misspelt", json!({"snapshott": "mine"}), 422, "invalid"),
        peek("a developer who looks into production", json!({}), 403, "forbidden")
            .key(&scene.keys["dora"])
            .names(&["peek into acme", "operate"]),
        restore("no target", "acme", json!({}), 400, "invalid").names(&["--to", "--at"]),
        restore(
            "two targets",
            "acme",
            json!({"snapshot": "mine", "at": "2026-11-21T11:35:51Z"}),
            400,
            "invalid",
        ),
        restore("a time before its history", "acme", json!({"at": "2001-01-01T00:00:00Z"}), 400, "invalid")
            .names(&["choose a time"]),
        restore("a time to come", "acme", json!({"at": "2999-01-01T00:00:00Z"}), 400, "invalid")
            .names(&["future"]),
        restore("a time that is none", "acme", json!({"at": "yesterday"}), 422, "invalid"),
        restore(
            "another tenant's snapshot",
            "globex",
            json!({"snapshot": scene.snapshot.id}),
            409,
            "wrong-state",
        ),
        stale("a heartbeat with a stale fence", "heartbeat", json!({"fence": fence})),
        stale(
            "an end with a stale fence",
            "finish",
            json!({"fence": fence, "outcome": {"outcome": "succeeded"}}),
        ),
        stale(
            "an event with a stale fence",
            "events",
            json!({"fence": fence, "first": 1, "events": [{"at": "2026-11-21T11:35:51Z", "level": "info", "message": "late"}]}),
        ),
        environment("a build of nobody", "*", nobody, 404, "not-found"),
        environment("a build that is no id", "*", "seven", 422, "invalid"),
        environment("an environment of an old version", "\"0\"", &ready(scene), 412, "changed"),
    ]
}

fn others(scene: &Scene<'_>) -> Vec<Row> {
    let probe = |change: Value| {
        let mut run = json!({"project": "demo", "kind": "probe"});
        run.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"runs": [run]})
    };
    let runs = |what, body, status, kind| scene.post(what, "/api/v1/runs", body, status, kind);
    let run = |what, change| runs(what, probe(change), 400, "invalid");
    let nobody = "00000000-0000-7000-8000-000000000000";
    let member = |what, login: &str, body, status, kind| {
        scene
            .to(what, Method::PUT, &format!("/api/v1/projects/demo/members/{login}"), status, kind)
            .json(body)
    };
    let schedule = |what, change: Value| {
        let mut new =
            json!({"project": "demo", "name": "nightly", "action": "snapshot", "cron": "30 2 * * *"});
        new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        scene.post(what, "/api/v1/schedules", new, 400, "invalid")
    };
    vec![
        runs("no runs", json!({"runs": []}), 400, "invalid").names(&["1000"]),
        runs(
            "too many runs",
            json!({"runs": vec![json!({"project": "demo", "kind": "probe"}); 1001]}),
            400,
            "invalid",
        )
        .names(&["1000"]),
        runs("a run of no kind", json!({"runs": [{"project": "demo", "kind": "dance"}]}), 422, "invalid")
            .names(&["dance"]),
        runs(
            "a run that follows from others",
            json!({"runs": [{"project": "demo", "kind": "restore"}]}),
            400,
            "invalid",
        ),
        runs(
            "a run of an unknown project",
            json!({"runs": [{"project": "none", "kind": "probe"}]}),
            404,
            "not-found",
        ),
        runs("a run of an unknown environment", probe(json!({"environment": "none"})), 404, "not-found"),
        runs("a run after an unknown one", probe(json!({"after": [nobody]})), 404, "not-found"),
        run("a commit that is none", json!({"sha": "HEAD"})),
        run("no tries", json!({"attempts": 0})),
        run("too many tries", json!({"attempts": 101})),
        run("no time", json!({"deadline": 0})),
        run("a week and a second", json!({"deadline": 604_801})),
        run("an empty key of its own", json!({"idempotency_key": ""})),
        run("a long key of its own", json!({"unique_key": "k".repeat(201)})),
        run("too many labels", json!({"labels": vec!["a"; 21]})),
        run("metadata that is too large", json!({"metadata": {"text": "a".repeat(17_000)}})),
        run("metadata that is no object", json!({"metadata": [1]})),
        scene.post("a login that is none", "/api/v1/users", json!({"login": "A B"}), 400, "invalid"),
        scene.post("a taken login", "/api/v1/users", json!({"login": "vera"}), 409, "taken"),
        scene.get("an unknown user", "/api/v1/users/nobody", 404, "not-found"),
        scene.post("a key of no name", "/api/v1/keys", json!({"name": ""}), 400, "invalid"),
        scene
            .post(
                "a key for nothing known",
                "/api/v1/keys",
                json!({"name": "a", "scopes": ["dance"]}),
                422,
                "invalid",
            )
            .names(&["dance"]),
        scene
            .post(
                "a key of yesterday",
                "/api/v1/keys",
                json!({"name": "a", "expires_at": "2001-01-01T00:00:00Z"}),
                400,
                "invalid",
            )
            .names(&["future"]),
        scene.post(
            "a key for an unknown project",
            "/api/v1/keys",
            json!({"name": "a", "project": "none"}),
            404,
            "not-found",
        ),
        scene.get("an unknown key", &format!("/api/v1/keys/{nobody}"), 404, "not-found"),
        member("a role that is none", "vera", json!({"role": "king"}), 422, "invalid").names(&["king"]),
        member("an unknown person", "nobody", json!({"role": "viewer"}), 404, "not-found").names(&["nobody"]),
        member("a member of an old version", "vera", json!({"role": "tester"}), 412, "changed")
            .header("if-match", "\"7\""),
        member("a member of no version", "vera", json!({"role": "tester"}), 400, "invalid")
            .header("if-match", "seven"),
        schedule("no cron", json!({"cron": "now and then"})).names(&["now and then"]),
        schedule("no zone", json!({"zone": "Mars/Olympus"})).names(&["Mars/Olympus"]),
        schedule("a bad name", json!({"name": "Not Good"})),
        scene.get("an unknown schedule", "/api/v1/schedules/demo/none", 404, "not-found"),
        scene.get("an unknown approval", &format!("/api/v1/approvals/{nobody}"), 404, "not-found"),
        scene.post(
            "yes to nothing",
            &format!("/api/v1/approvals/{nobody}/approve"),
            json!({}),
            404,
            "not-found",
        ),
        scene.get("a cursor of nothing", "/api/v1/users?after=", 400, "invalid").names(&["next"]),
        scene.post(
            "an unknown alert",
            &format!("/api/v1/alerts/{nobody}/acknowledge"),
            json!({}),
            404,
            "not-found",
        ),
        scene.get("an act that is none", "/api/v1/audit?act=", 400, "invalid"),
        scene.post("no login", "/api/v1/login", json!({}), 422, "invalid").names(&["login"]),
        scene.post(
            "a wrong password",
            "/api/v1/login",
            json!({"login": "vera", "password": "guess", "name": "x"}),
            401,
            "unauthenticated",
        ),
    ]
}

fn ready(scene: &Scene<'_>) -> String {
    scene.keys["ready build"].clone()
}

#[tokio::test]
async fn wrong_requests_are_refused_with_what_to_do() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let mut scene = Scene::set(&site, &worker).await;
    let builds: Page<Value> = site.get("/api/v1/builds").await.good();
    scene.keys.insert("ready build", builds.items[0]["id"].as_str().unwrap().to_owned());
    used_keys(&site).await;

    let before = inventory(&site).await;
    let rows: Vec<Row> = [who(&scene), shapes(&scene), again(&scene), states(&scene), others(&scene)]
        .into_iter()
        .flatten()
        .collect();
    let (mut faults, mut kinds) = (Vec::new(), BTreeSet::new());
    let count = rows.len();
    for row in rows {
        kinds.insert((row.status, row.kind));
        let answered = send(&site, &row).await;
        if let Err(fault) = check(&row, &answered) {
            faults.push(format!("{}: {fault}\n    {} {}", row.what, answered.status, answered.text));
        }
    }
    assert!(faults.is_empty(), "{} of {count} were not refused well:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(inventory(&site).await, before, "something was made of a wrong request");
    println!(
        "{count} wrong requests refused in {} ways, with status, kind and hint; nothing came of them",
        kinds.len()
    );
    assert!(count >= 120, "{count}");
}

/// Keys that have made something already.
async fn used_keys(site: &Site) {
    let ask = async |path: &str, key: &str, body: Value| {
        let mut request = site.request(Method::POST, path, &site.key, Some(&body));
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        site.send(request).await.good::<Value>()
    };
    let environment = json!({"project": "demo", "name": "next", "stage": "staging"});
    let made = [
        ("/api/v1/tenants", "tenant", json!({"environment": "demo/production", "name": "once"})),
        ("/api/v1/projects", "project", json!({"name": "two"})),
        ("/api/v1/environments", "environment", environment),
    ];
    for (path, key, body) in made {
        let first = ask(path, key, body.clone()).await;
        let again = ask(path, key, body).await;
        let id = |made: &Value| made["id"].as_str().or(made["tenant"]["id"].as_str()).unwrap().to_owned();
        assert_eq!(id(&first), id(&again), "{path}");
    }
}

async fn send(site: &Site, row: &Row) -> Answered {
    let mut request = Request::builder().method(row.method.clone()).uri(&row.path);
    request.headers_mut().unwrap().extend(row.headers.clone());
    site.send(request.body(Body::from(row.body.clone())).unwrap()).await
}

fn check(row: &Row, answered: &Answered) -> Result<(), String> {
    if answered.status.as_u16() != row.status {
        return Err(format!("not {}", row.status));
    }
    let problem = answered.problem();
    if problem.kind != row.kind {
        return Err(format!("of the kind {}, not {}", problem.kind, row.kind));
    }
    let Some(hint) = &problem.hint else { return Err("without a hint".into()) };
    if problem.detail.contains('\n') || hint.contains('\n') {
        return Err("in more than a sentence".into());
    }
    for name in &row.names {
        if !problem.detail.contains(name.as_str()) && !hint.contains(name.as_str()) {
            return Err(format!("without a word of {name:?}"));
        }
    }
    for inner in ["ops.", "relation", "SQLSTATE", "axum", "serde", "panicked"] {
        if answered.text.contains(inner) {
            return Err(format!("shows its insides: {inner}"));
        }
    }
    match row.status {
        401 if answered.header("www-authenticate") != "Bearer" => Err("without WWW-Authenticate".into()),
        405 if answered.header("allow").is_empty() => Err("without Allow".into()),
        405 => Ok(()),
        status => documented(row, status),
    }
}

/// The document names the status among those of the operation, if it is one.
fn documented(row: &Row, status: u16) -> Result<(), String> {
    let document: Value = serde_json::from_str(&web::openapi_json()).unwrap();
    let path = row.path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template.zip(path).all(|(wanted, found)| wanted == found || wanted.starts_with('{'))
    };
    let method = row.method.as_str().to_lowercase();
    let paths = document["paths"].as_object().unwrap();
    let found =
        paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| &item[&method]["responses"]);
    match found.and_then(Value::as_object) {
        Some(responses) if !responses.contains_key(&status.to_string()) => {
            Err("with a status that is not documented".into())
        }
        _ => Ok(()),
    }
}

/// How much there is of all that requests can make or change.
async fn inventory(site: &Site) -> Vec<(String, i64, i64)> {
    let admin = site.scratch.admin().await;
    let mut found = Vec::new();
    for table in [
        "projects",
        "environments",
        "builds",
        "tenants",
        "snapshots",
        "restores",
        "peeks",
        "runs",
        "run_events",
        "requests",
        "project_members",
        "users",
        "api_keys",
        "schedules",
        "secrets",
    ] {
        let version =
            if ["environments", "tenants"].contains(&table) { "sum(version)::bigint" } else { "0::bigint" };
        let row =
            admin.query_one(&format!("SELECT count(*), {version} FROM ops.{table}"), &[]).await.unwrap();
        found.push((table.to_owned(), row.get(0), row.get(1)));
    }
    found
}

/// Of two edits of one version, one is made and the other is told so.
#[tokio::test]
async fn of_racing_edits_one_is_made() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    for round in 0..10 {
        let tenant: Tenant = site.get("/api/v1/tenants/acme").await.good();
        let edits = (1..=4).map(|users| {
            let body = json!({"max_users": 10 * (round + 1) + users});
            let mut request = site.request(Method::PATCH, "/api/v1/tenants/acme", &site.key, Some(&body));
            request.headers_mut().insert("if-match", format!("\"{}\"", tenant.version).parse().unwrap());
            site.send(request)
        });
        let answers = futures::future::join_all(edits).await;
        let made: Vec<&Answered> = answers.iter().filter(|answered| answered.status == 200).collect();
        assert_eq!(made.len(), 1, "round {round}");
        for answered in answers.iter().filter(|answered| answered.status != 200) {
            assert_eq!((answered.status.as_u16(), answered.problem().kind.as_str()), (412, "changed"));
        }
        let changed: Tenant = made[0].json();
        assert_eq!(changed.version, tenant.version + 1);
        let now: Tenant = site.get("/api/v1/tenants/acme").await.good();
        assert_eq!((now.version, now.max_users), (changed.version, changed.max_users));
    }
}

#[tokio::test]
async fn what_is_known_already_is_not_sent_again() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    for path in ["/api/v1/tenants/acme", "/api/v1/environments/demo/production"] {
        let ask = |tag: &str| {
            let mut request = site.request(Method::GET, path, &site.key, None);
            request.headers_mut().insert("if-none-match", tag.parse().unwrap());
            site.send(request)
        };
        let whole = site.get(path).await;
        let tag = whole.header("etag").to_owned();
        let version = whole.json::<Value>()["version"].as_i64().unwrap();
        assert!(tag.starts_with(&format!("\"{version}.")), "{tag}");
        for seen in [tag.clone(), format!("\"1\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let known = ask(&seen).await;
            assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""), "{seen}");
            assert_eq!(known.header("etag"), tag);
        }
        assert_eq!(ask(&format!("\"{version}\"")).await.status, 200);
    }
    // What its worker saw of it changes what is shown, and not its version.
    let tag = site.get("/api/v1/tenants/acme").await.header("etag").to_owned();
    let changed = json!({"tier": "enterprise", "subscription_ends_at": "2030-01-01T00:00:00Z"});
    let mut request = site.request(Method::PATCH, "/api/v1/tenants/acme", &site.key, Some(&changed));
    request.headers_mut().insert("if-match", tag.parse().unwrap());
    let answered = site.send(request).await;
    let tenant: Tenant = answered.good();
    assert_eq!(tenant.tier.as_str(), "enterprise");
    assert_eq!(answered.header("etag"), site.get("/api/v1/tenants/acme").await.header("etag"));
    let mut request = site.request(
        Method::PATCH,
        "/api/v1/tenants/acme",
        &site.key,
        Some(&json!({"subscription_ends_at": null})),
    );
    request.headers_mut().insert("if-match", "*".parse().unwrap());
    assert_eq!(site.send(request).await.good::<Tenant>().subscription_ends_at, None);
}

/// Every list comes in pieces that together are the whole, each thing once.
#[tokio::test]
async fn lists_come_in_pieces() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    for name in ["beta", "gamma", "alpha"] {
        site.post("/api/v1/projects", json!({"name": name})).await.good::<Value>();
    }
    for name in ["staging", "a", "z"] {
        let body = json!({"project": "demo", "name": name, "stage": "staging"});
        site.post("/api/v1/environments", body).await.good::<Value>();
        let body = json!({"environment": "demo/production", "name": format!("tenant-{name}")});
        site.post("/api/v1/tenants", body).await.good::<Value>();
        let body = json!({"project": "demo", "odoo": "/opt/odoo", "modules": ["base"]});
        site.post("/api/v1/builds", body).await.good::<Value>();
    }
    let claimed = worker.claim(RunKind::Provision).await;
    worker.say(&claimed, "one").await;
    let (placed, backup) = worker_tenant(&site, &worker).await;
    for name in ["one", "two", "three"] {
        site.post("/api/v1/tenants/whole/snapshots", json!({"name": name})).await.good::<Value>();
        worker.take_snapshot(placed, backup).await;
        let body = json!({"snapshot": name});
        site.post("/api/v1/tenants/whole/restores", body).await.good::<Value>();
        worker.plan(placed, backup).await;
        site.post("/api/v1/tenants/whole/peeks", json!({"snapshot": name})).await.good::<Value>();
    }
    for (path, least) in [
        ("/api/v1/projects", 4),
        ("/api/v1/environments?project=demo", 4),
        ("/api/v1/builds?project=demo", 4),
        ("/api/v1/tenants?environment=demo/production", 4),
        ("/api/v1/tenants/whole/snapshots", 3),
        ("/api/v1/tenants/whole/restores", 3),
        ("/api/v1/tenants/whole/peeks", 3),
    ] {
        let join = if path.contains('?') { '&' } else { '?' };
        let whole: Page<Value> = site.get(path).await.good();
        assert!(whole.items.len() >= least && whole.next.is_none(), "{path}: {}", whole.items.len());
        for limit in 1..=2 {
            let mut found = Vec::new();
            let mut address = format!("{path}{join}limit={limit}");
            loop {
                let page: Page<Value> = site.get(&address).await.good();
                assert!(page.items.len() <= limit && !page.items.is_empty(), "{address}");
                found.extend(page.items);
                let Some(next) = page.next else { break };
                address = format!("{path}{join}limit={limit}&after={next}");
            }
            let ids = |items: &[Value]| items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
            assert_eq!(ids(&found), ids(&whole.items), "{path} in pieces of {limit}");
        }
    }
}

/// A tenant that serves, whatever else waits to be provisioned.
async fn worker_tenant(site: &Site, worker: &Worker<'_>) -> (protocol::internal::Placed, model::BackupId) {
    let waiting: Page<Run> = site.get("/api/v1/runs?state=queued").await.good();
    for run in waiting.items {
        site.post(&format!("/api/v1/runs/{}/cancel", run.id), json!({})).await.good::<Value>();
    }
    worker.tenant("whole").await
}

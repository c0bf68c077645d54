//! Whether the router, and nothing but the hostname, decides which tenant
//! answers.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, host};
use crate::platform::text;
use crate::rpc::{browser, page};
use crate::state::Place;

/// Answers with the user that the tenant's Odoo runs as, which is its alone.
const WHO: &str = "/heddle_hostile/try";

/// What came over a plain connection.
struct Raw {
    status: u16,
    /// Of the Odoo that answered; None: the router itself did.
    uid: Option<i64>,
}

async fn raw(router: &str, head: &str) -> Result<Raw> {
    let mut stream = TcpStream::connect(router).await.context("connect to the router")?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    // A refused connection may be reset behind its answer.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let object = body.find('{').zip(body.rfind('}')).map(|(from, to)| &body[from..=to]);
    let uid =
        object.and_then(|text| serde_json::from_str::<Value>(text).ok()).and_then(|who| who["uid"].as_i64());
    Ok(Raw { status: status.with_context(|| format!("no status in {answer:?}"))?, uid })
}

/// A request for [`WHO`], with these lines for its target and headers.
fn request(target: &str, headers: &[String]) -> String {
    let mut text = format!("POST {target} HTTP/1.1\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    text + "Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
}

/// Tries everything by which a client could choose another tenant than the one
/// it names as its host. Returns how many ways were tried.
pub async fn no_trick_leads_elsewhere(house: &House) -> Result<usize> {
    let router = &house.platform.router;
    let port = router.rsplit_once(':').context("a port")?.1;
    let (acme, globex) = (format!("acme.localhost:{port}"), format!("globex.localhost:{port}"));
    let of = async |host: &str| -> Result<i64> {
        let answer = raw(router, &request(WHO, &[format!("Host: {host}")])).await?;
        answer.uid.with_context(|| format!("{host} answered {}", answer.status))
    };
    let (acme_uid, globex_uid) = (of(&acme).await?, of(&globex).await?);
    ensure!(acme_uid != globex_uid, "both tenants' Odoos run as {acme_uid}");
    let answer = raw(router, &request(&format!("http://{acme}{WHO}"), &[format!("Host: {acme}")])).await?;
    ensure!(answer.uid == Some(acme_uid), "an absolute target for acme does not reach acme");

    let session = log_in(house, "globex").await?;
    let key = router_key(house, "globex").await?;
    let host = format!("Host: {acme}");
    let with = |header: &str| request(WHO, &[host.clone(), header.to_owned()]);
    let mut tricks = vec![
        request(&format!("{WHO}?db=globex"), std::slice::from_ref(&host)),
        request(&format!("//{globex}{WHO}"), std::slice::from_ref(&host)),
        request(&format!("http://{globex}{WHO}"), std::slice::from_ref(&host)),
        request(&format!("http://{acme}@{globex}{WHO}"), std::slice::from_ref(&host)),
        request(WHO, &[host.clone(), format!("Host: {globex}")]),
        request(WHO, &[host.clone(), format!("host : {globex}")]),
        request(WHO, &[host.clone(), format!("\tHost: {globex}")]),
        request(WHO, &[format!("Host: {acme}, {globex}")]),
        request(WHO, &[format!("Host: {globex}@{acme}")]),
        request(WHO, &[format!("Host: {acme}@{globex}")]),
        request(WHO, &[format!("Host: {acme}/{globex}")]),
        request(WHO, &[format!("Host: {acme}#{globex}")]),
        request(WHO, &[host.clone(), "Connection: Host".into(), format!("X-Forwarded-Host: {globex}")]),
        request(WHO, &[]),
        format!("POST {WHO} HTTP/1.0\r\nX-Forwarded-Host: {globex}\r\nContent-Length: 2\r\n\r\n[]"),
    ];
    for name in [
        "X-Forwarded-Host",
        "X_Forwarded_Host",
        "x-forwarded_host",
        "X-Forwarded-Server",
        "X-Host",
        "X-Original-Host",
        "X-HTTP-Host-Override",
        "HTTP_HOST",
    ] {
        tricks.push(with(&format!("{name}: {globex}")));
    }
    for header in [
        format!("Forwarded: for=127.0.0.1;host={globex};proto=http"),
        format!("X-Original-URL: http://{globex}{WHO}"),
        format!("X-Rewrite-URL: http://{globex}{WHO}"),
        "X-Odoo-Database: globex".into(),
        "X_Odoo_Database: globex".into(),
        "X-Odoo-Db-Filter: ^globex$".into(),
        format!("X-Heddle-Router: {key}"),
        format!("X_Heddle_Router: {key}"),
        "X-Heddle-Tenant: globex".into(),
        format!("Cookie: session_id={session}"),
        format!("Cookie: session_id={session}; db=globex; last_used_database=globex"),
        format!("X-Openerp-Session-Id: {session}"),
    ] {
        tricks.push(with(&header));
    }
    for trick in &tricks {
        let answer = raw(router, trick).await?;
        let refused = answer.uid.is_none() && answer.status >= 400;
        ensure!(
            refused || answer.uid == Some(acme_uid),
            "status {} of the user {:?} (globex is {globex_uid}) came of:\n{trick}",
            answer.status,
            answer.uid
        );
    }
    Ok(tricks.len() + sessions_are_their_own(house).await? + no_other_database(house).await?)
}

async fn router_key(house: &House, tenant: &str) -> Result<String> {
    let place = Place::of(&house.platform, tenant).await?;
    let folder = place.folder.parent().context("the tenant's folder")?;
    let secrets: Value = serde_json::from_slice(&std::fs::read(folder.join("secrets/odoo.json"))?)?;
    Ok(text(&secrets, "router_key"))
}

async fn json_rpc(
    house: &House,
    at: &str,
    path: &str,
    params: Value,
    session: Option<&str>,
) -> Result<(Value, String)> {
    let router = &house.platform.router;
    let port = router.rsplit_once(':').context("a port")?.1;
    let url = format!("http://{}:{port}{path}", host(at));
    let mut asked = browser(router, &host(at))?.post(url).json(&json!({"jsonrpc": "2.0", "params": params}));
    if let Some(session) = session {
        asked = asked.header("Cookie", format!("session_id={session}"));
    }
    let answer = asked.send().await?;
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let cookie = cookies.filter_map(|cookie| cookie.strip_prefix("session_id=")).next().unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    Ok((answer.json().await?, cookie))
}

/// A browser's session of the tenant's administrator.
async fn log_in(house: &House, tenant: &str) -> Result<String> {
    let params = json!({"db": tenant, "login": "admin", "password": house.password(tenant)?});
    let (answer, session) = json_rpc(house, tenant, "/web/session/authenticate", params, None).await?;
    ensure!(answer["result"]["uid"].is_number(), "{tenant} lets its administrator in: {answer}");
    ensure!(!session.is_empty(), "{tenant} gives a session");
    Ok(session)
}

/// A session of one tenant is worth nothing at the other.
async fn sessions_are_their_own(house: &House) -> Result<usize> {
    let mut tried = 0;
    for (here, there) in [("acme", "globex"), ("globex", "acme")] {
        let session = log_in(house, here).await?;
        let info = "/web/session/get_session_info";
        let (answer, _) = json_rpc(house, here, info, json!({}), Some(&session)).await?;
        ensure!(answer["result"]["db"] == here, "the session is good where it was made: {answer}");
        let (answer, _) = json_rpc(house, there, info, json!({}), Some(&session)).await?;
        ensure!(!answer["result"]["uid"].is_number(), "{here}'s session opens {there}: {answer}");
        tried += 1;
    }
    Ok(tried)
}

/// An Odoo knows its own database only, whatever it is asked for.
async fn no_other_database(house: &House) -> Result<usize> {
    let password = house.password("globex")?;
    let login = json!({"db": "globex", "login": "admin", "password": password});
    let (answer, _) = json_rpc(house, "acme", "/web/session/authenticate", login, None).await?;
    ensure!(!answer["result"]["uid"].is_number(), "globex's administrator is let in at acme: {answer}");
    let call = |service: &str, method: &str, args: Value| json!({"service": service, "method": method, "args": args});
    for params in [
        call("common", "login", json!(["globex", "admin", password])),
        call("object", "execute_kw", json!(["globex", 1, password, "res.users", "search", [[]]])),
        call("db", "list", json!([])),
        call("db", "db_exist", json!(["globex"])),
    ] {
        let (answer, _) = json_rpc(house, "acme", "/jsonrpc", params.clone(), None).await?;
        let nothing = answer["result"].is_null() || answer["result"] == false;
        ensure!(nothing, "acme answers of globex: {params} got {answer}");
    }
    Ok(5)
}

/// The database manager is closed in every spelling. Returns how many were tried.
pub async fn no_database_manager(house: &House) -> Result<usize> {
    let paths = [
        "/web/database",
        "/web/database/manager",
        "/web/database/selector",
        "/web/database/list",
        "//web/database",
        "/web//database/manager",
        "/web/%64atabase/manager",
        "/web/./database/create",
        "/x/../web/database/drop",
        "/web/database/backup?db=acme",
    ];
    for path in paths {
        let head = format!("GET {path} HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&house.platform.router, &head).await?;
        ensure!(answer.status == 403, "{path} answered {}", answer.status);
    }
    Ok(paths.len())
}

/// A host that no tenant has gets a page that says so, and names none that is.
pub async fn unknown_hosts(house: &House) -> Result<usize> {
    let hosts = ["initech.localhost", "localhost", "acme.localhost.example.org", "acme.globex.localhost"];
    for host in hosts {
        let (status, text) = page(&house.platform.router, host, "/web/login").await?;
        ensure!(status == StatusCode::NOT_FOUND, "{host} answered {status}");
        ensure!(text.contains("Nothing is served at this address"), "{host} shows: {text}");
        ensure!(
            !text.contains("globex.localhost\"") && !text.contains("csrf_token"),
            "{host} shows a tenant"
        );
    }
    Ok(hosts.len())
}

/// A tenant that was just made is served by the router that runs already.
pub async fn new_tenant_is_routed(house: &mut House, name: &str) -> Result<()> {
    let before = house.platform.role("router").context("the router runs")?;
    let (status, _) = page(&house.platform.router, &host(name), "/web/login").await?;
    ensure!(status == StatusCode::NOT_FOUND, "{name} answers {status} before it is made");
    house.tenant(name).await?;
    house.log_in(name).await?;
    ensure!(house.platform.role("router") == Some(before), "the router was restarted");
    Ok(())
}

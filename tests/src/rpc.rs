//! A tenant's Odoo as its users and tools reach it: through the router, by
//! hostname.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Someone signed in to a tenant. Cheap to clone.
#[derive(Clone)]
pub struct Odoo {
    http: reqwest::Client,
    pub url: String,
    database: String,
    uid: i64,
    password: String,
}

/// A client that finds `host` at the router.
pub fn browser(router: &str, host: &str) -> Result<reqwest::Client> {
    let address: SocketAddr = router.parse().with_context(|| format!("read the address {router:?}"))?;
    reqwest::Client::builder()
        .resolve(host, address)
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("make a client")
}

/// The status and text of a page.
pub async fn page(router: &str, host: &str, path: &str) -> Result<(StatusCode, String)> {
    let port = router.rsplit_once(':').context("a port")?.1;
    let answer = browser(router, host)?.get(format!("http://{host}:{port}{path}")).send().await?;
    Ok((answer.status(), answer.text().await?))
}

impl Odoo {
    pub async fn log_in(router: &str, host: &str, database: &str, password: &str) -> Result<Self> {
        let port = router.rsplit_once(':').context("a port")?.1;
        let mut odoo = Self {
            http: browser(router, host)?,
            url: format!("http://{host}:{port}"),
            database: database.to_owned(),
            uid: 0,
            password: password.to_owned(),
        };
        let uid = odoo.rpc("common", "login", json!([database, "admin", password])).await?;
        odoo.uid = uid.as_i64().with_context(|| format!("log in to {host}: Odoo said {uid}"))?;
        Ok(odoo)
    }

    async fn rpc(&self, service: &str, method: &str, args: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "call",
            "params": {"service": service, "method": method, "args": args}});
        let answer = self.http.post(format!("{}/jsonrpc", self.url)).json(&body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{} answered {status}", self.url);
        let mut answer: Value = answer.json().await?;
        if !answer["error"].is_null() {
            bail!("Odoo: {} {}", answer["error"]["message"], answer["error"]["data"]["message"]);
        }
        Ok(answer["result"].take())
    }

    /// What a page answers with.
    pub async fn status(&self, path: &str) -> Result<StatusCode> {
        Ok(self.http.get(format!("{}{path}", self.url)).send().await?.status())
    }

    pub async fn call(&self, model: &str, method: &str, args: Value, named: Value) -> Result<Value> {
        let args = json!([self.database, self.uid, self.password, model, method, args, named]);
        self.rpc("object", "execute_kw", args).await.with_context(|| format!("{model}.{method}"))
    }

    pub async fn create_partner(&self, name: &str) -> Result<i64> {
        let id = self.call("res.partner", "create", json!([{"name": name}]), json!({})).await?;
        id.as_i64().context("a partner's id")
    }

    /// The names of the partners that begin with `prefix`, in order.
    pub async fn partners(&self, prefix: &str) -> Result<Vec<String>> {
        let domain = json!([[["name", "=like", format!("{prefix}%")]], ["name"]]);
        let rows = self.call("res.partner", "search_read", domain, json!({"order": "name"})).await?;
        let rows = rows.as_array().context("a list of partners")?;
        Ok(rows.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect())
    }

    pub async fn delete_partners(&self, prefix: &str) -> Result<()> {
        let domain = json!([[["name", "=like", format!("{prefix}%")]]]);
        let ids = self.call("res.partner", "search", domain, json!({})).await?;
        self.call("res.partner", "unlink", json!([ids]), json!({})).await?;
        Ok(())
    }

    /// An attachment whose bytes Odoo keeps in a file.
    pub async fn attach(&self, name: &str, bytes: &[u8]) -> Result<i64> {
        let values = json!([{"name": name, "datas": BASE64.encode(bytes)}]);
        let id = self.call("ir.attachment", "create", values, json!({})).await?;
        id.as_i64().context("an attachment's id")
    }

    /// The bytes of an attachment; None if there is none of that name.
    pub async fn attachment(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let args = json!([[["name", "=", name]], ["datas"]]);
        let rows = self.call("ir.attachment", "search_read", args, json!({})).await?;
        match rows[0]["datas"].as_str() {
            None => Ok(None),
            Some(text) => Ok(Some(BASE64.decode(text.replace('\n', ""))?)),
        }
    }

    pub async fn delete_attachment(&self, name: &str) -> Result<()> {
        let ids = self.call("ir.attachment", "search", json!([[["name", "=", name]]]), json!({})).await?;
        self.call("ir.attachment", "unlink", json!([ids]), json!({})).await?;
        Ok(())
    }

    /// Odoo's own clean-up, which removes the files of deleted attachments.
    pub async fn clean_up(&self) -> Result<()> {
        let args = json!([[["module", "=", "base"], ["name", "=", "autovacuum_job"]], ["res_id"]]);
        let found = self.call("ir.model.data", "search_read", args, json!({})).await?;
        let job = found[0]["res_id"].as_i64().context("the clean-up's job")?;
        // Its own schedule may be at it just now.
        for _ in 0..40 {
            match self.call("ir.cron", "method_direct_trigger", json!([[job]]), json!({})).await {
                // 11 answers None, which XML-RPC could not; JSON can.
                Ok(_) => return Ok(()),
                Err(error) if format!("{error:#}").contains("cannot marshal None") => return Ok(()),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
        bail!("Odoo's clean-up could not be run")
    }
}

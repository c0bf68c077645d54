//! The console in a real browser: headless Chromium, driven by chromedriver.

mod keyboard;
mod looks;
mod work;

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::platform::Platform;

const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// What a page shows within a moment.
const SOON: Duration = Duration::from_secs(15);
/// What a worker has to do first.
const LATER: Duration = Duration::from_secs(90);

const PASSWORD: &str = "weft and warp and weft";

/// Walks through the platform's console as its administrator, who signs in for
/// the first time, and through the serving tenant `tenant` of the project
/// `demo`: a snapshot of it, its run, and a restore up to its plan, which is not
/// confirmed. Then does a day's work with the keyboard alone, and looks at every
/// page on a phone and at a desk, in light and dark. Returns how many things
/// were checked.
pub async fn console_tour(platform: &Platform, one_time_password: &str, tenant: &str) -> Result<usize> {
    let profile = tempfile::tempdir().context("make the browser's folder")?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut driver = Command::new(CHROMEDRIVER)
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {CHROMEDRIVER}"))?;
    let toured = async {
        let client = connect(port, profile.path(), &mut driver).await?;
        let session = client.session_id().await?.context("the browser has a session")?;
        let session = format!("http://127.0.0.1:{port}/session/{session}");
        let base = platform.console.trim_end_matches('/').to_owned();
        let mut tour = Tour { client: client.clone(), session, base, checks: 0, faults: Vec::new() };
        let walked = tour.walk(platform, one_time_password, tenant).await;
        let complaints = complaints(&tour.session).await;
        client.close().await.context("close the browser")?;
        walked?;
        let complaints = complaints?;
        tour.check(complaints.is_empty(), &format!("the browser complains of nothing: {complaints:?}"))?;
        Ok(tour.checks)
    }
    .await;
    driver.kill().await.context("end chromedriver")?;
    toured
}

async fn connect(port: u16, profile: &std::path::Path, driver: &mut Child) -> Result<Client> {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
    ];
    let mut arguments: Vec<String> = arguments.map(String::from).to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let wanted = json!({
        "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments},
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    let Value::Object(wanted) = wanted else { bail!("capabilities are an object") };
    let address = format!("http://127.0.0.1:{port}");
    let give_up = Instant::now() + SOON;
    loop {
        let mut builder = ClientBuilder::new(HttpConnector::new());
        match builder.capabilities(wanted.clone()).connect(&address).await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() > give_up => return Err(error).context("start a browser"),
            Err(_) => {
                if let Some(status) = driver.try_wait()? {
                    bail!("chromedriver ended with {status}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What the browser's own log has against the pages: broken scripts, and what
/// the content security policy kept from running.
async fn complaints(session: &str) -> Result<Vec<String>> {
    let url = format!("{session}/se/log");
    let http = reqwest::Client::builder().no_proxy().build()?;
    let log: Value = http.post(url).json(&json!({"type": "browser"})).send().await?.json().await?;
    let lines = log["value"].as_array().context("chromedriver gives a log")?;
    let texts = lines.iter().filter_map(|line| line["message"].as_str());
    let bad = texts.filter(|text| text.contains("Content Security Policy") || text.contains("Uncaught"));
    Ok(bad.map(String::from).collect())
}

struct Tour {
    client: Client,
    /// Where chromedriver speaks of it.
    session: String,
    base: String,
    checks: usize,
    /// What is wrong with how pages look.
    faults: Vec<String>,
}

impl Tour {
    fn check(&mut self, holds: bool, what: &str) -> Result<()> {
        ensure!(holds, "does not hold: {what}");
        self.checks += 1;
        Ok(())
    }

    async fn walk(&mut self, platform: &Platform, one_time_password: &str, tenant: &str) -> Result<()> {
        self.sign_in(one_time_password).await?;
        self.open_tenant(tenant).await?;
        let snapshot = self.take_snapshot(tenant).await?;
        self.read_run(tenant).await?;
        self.plan_restore(tenant, &snapshot).await?;
        self.look_around().await?;
        self.work(platform, tenant).await?;
        self.sign_out().await
    }

    async fn sign_in(&mut self, one_time_password: &str) -> Result<()> {
        self.client.goto(&format!("{}/tenants", self.base)).await?;
        self.at("/sign-in").await?;
        self.fill("#password", "not the password").await?;
        self.click("#sign-in").await?;
        self.see("#notice", "", SOON).await?;

        self.fill("#password", one_time_password).await?;
        self.click("#sign-in").await?;
        self.at("/password").await?;
        self.client.goto(&format!("{}/tenants", self.base)).await?;
        self.at("/password").await?;

        self.fill("#password", PASSWORD).await?;
        self.fill("#again", "weft and warp and waft").await?;
        self.click("#set-password").await?;
        self.see("#notice", "differ", SOON).await?;
        self.fill("#password", PASSWORD).await?;
        self.fill("#again", PASSWORD).await?;
        self.click("#set-password").await?;
        self.at("/tenants").await
    }

    async fn open_tenant(&mut self, tenant: &str) -> Result<()> {
        self.see("[data-slot=tenants]", "Serving", LATER).await?;
        // What is changed from here on, is changed without loading the page.
        self.client.execute("window.toured = true", vec![]).await?;
        self.click(&format!("#tenant-{tenant}")).await?;
        self.at(&format!("/tenants/{tenant}")).await?;
        self.see("h1", tenant, SOON).await?;
        let title = self.client.title().await?;
        self.check(title.starts_with(tenant), "the title names the tenant")?;
        self.see("#log", "PostgreSQL", LATER).await
    }

    async fn take_snapshot(&mut self, tenant: &str) -> Result<String> {
        let name = format!("tour-{}", uuid::Uuid::now_v7().simple());
        self.fill("#snapshot-name", &name).await?;
        self.click("#create-snapshot").await?;
        self.see(&format!("#snapshot-{name}-state[data-state=ready]"), "Ready", LATER).await?;
        let stayed = self.client.execute("return window.toured === true", vec![]).await?;
        self.check(stayed == true, "the snapshot became ready without loading the page")?;

        self.fill("#snapshot-name", &name).await?;
        self.click("#create-snapshot").await?;
        self.see("#notice", &name, SOON).await?;
        self.at_either(&[&format!("/tenants/{tenant}"), &format!("/tenants/{tenant}/snapshots")]).await?;
        Ok(name)
    }

    async fn read_run(&mut self, tenant: &str) -> Result<()> {
        self.client.goto(&format!("{}/tenants/{tenant}", self.base)).await?;
        self.see("[data-slot=runs]", "Snapshot", SOON).await?;
        self.click_on(Locator::LinkText("Snapshot")).await?;
        self.see("#run-state[data-state=succeeded]", "Succeeded", LATER).await?;
        self.see("ol.log li", "", SOON).await?;
        let ended = "return document.querySelector('main [data-live]').dataset.ended === 'yes'";
        self.becomes_true(ended, "the live log of an ended run ends").await
    }

    async fn plan_restore(&mut self, tenant: &str, snapshot: &str) -> Result<()> {
        self.client.goto(&format!("{}/tenants/{tenant}", self.base)).await?;
        self.click(&format!("#restore-{snapshot}")).await?;
        self.at(&format!("/tenants/{tenant}/restore")).await?;
        let chosen = self.client.find(Locator::Css("#snapshot")).await?.prop("value").await?;
        self.check(chosen.as_deref() == Some(snapshot), "the snapshot is chosen already")?;
        self.click("#plan").await?;
        self.see("#restore-state[data-state=planned]", "", LATER).await?;
        self.see("#confirm-restore", tenant, SOON).await?;
        let steps = self.client.find_all(Locator::Css("ol.steps li")).await?.len();
        self.check(steps >= 3, "the plan has its steps")?;
        self.click("#leave-plan").await?;
        self.at(&format!("/tenants/{tenant}")).await
    }

    /// Small screens, the other pages, and addresses that lead nowhere.
    async fn look_around(&mut self) -> Result<()> {
        self.client.set_window_size(500, 850).await?;
        for path in ["/tenants", "/new-tenant", "/runs", "/runs?state=succeeded", "/status"] {
            self.client.goto(&format!("{}{path}", self.base)).await?;
            let script = "return document.documentElement.scrollWidth <= window.innerWidth";
            let fits = self.client.execute(script, vec![]).await?;
            self.check(fits == true, &format!("{path} fits a small screen"))?;
        }
        self.see("[data-slot=status]", "workers alive", SOON).await?;
        self.client.goto(&format!("{}/tenants/nobody-of-that-name", self.base)).await?;
        self.see("h1", "Not found", SOON).await
    }

    async fn sign_out(&mut self) -> Result<()> {
        self.client.goto(&format!("{}/tenants", self.base)).await?;
        let script = "return document.cookie === ''";
        let hidden = self.client.execute(script, vec![]).await?;
        self.check(hidden == true, "no script can read the session")?;
        self.click("#sign-out").await?;
        self.at("/sign-in").await?;
        self.client.goto(&format!("{}/runs", self.base)).await?;
        self.at("/sign-in").await
    }

    /// The browser is at this path, or will be in a moment.
    async fn at(&mut self, path: &str) -> Result<()> {
        self.at_either(&[path]).await
    }

    async fn at_either(&mut self, paths: &[&str]) -> Result<()> {
        let give_up = Instant::now() + SOON;
        loop {
            let url = self.client.current_url().await?;
            if paths.contains(&url.path()) {
                self.checks += 1;
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "the browser is at {url} and not at {paths:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An element shows this text within `patience`.
    async fn see(&mut self, css: &str, text: &str, patience: Duration) -> Result<()> {
        let give_up = Instant::now() + patience;
        loop {
            // An element that is replaced while it is read is looked for again.
            let shown = match self.client.find(Locator::Css(css)).await {
                Ok(element) => element.text().await.ok(),
                Err(_) => None,
            };
            if shown.as_ref().is_some_and(|shown| shown.contains(text)) {
                self.checks += 1;
                return Ok(());
            }
            if Instant::now() > give_up {
                let url = self.client.current_url().await?;
                bail!("{url} does not show {text:?} in {css}; there is {shown:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn becomes_true(&mut self, script: &str, what: &str) -> Result<()> {
        let give_up = Instant::now() + SOON;
        while self.client.execute(script, vec![]).await? != true {
            ensure!(Instant::now() < give_up, "does not become true: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.checks += 1;
        Ok(())
    }

    async fn click(&self, css: &str) -> Result<()> {
        self.click_on(Locator::Css(css)).await
    }

    async fn click_on(&self, what: Locator<'_>) -> Result<()> {
        let give_up = Instant::now() + SOON;
        loop {
            let clicked = match self.client.find(what).await {
                Ok(element) => element.click().await,
                Err(error) => Err(error),
            };
            match clicked {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > give_up => {
                    return Err(error).with_context(|| format!("click {what:?}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let field = self.client.wait().at_most(SOON).for_element(Locator::Css(css)).await;
        let field = field.with_context(|| format!("find {css}"))?;
        field.clear().await?;
        field.send_keys(text).await.with_context(|| format!("fill {css}"))
    }
}

//! The walk through the whole of it: two tenants, their history, and one of
//! them given back while the other is served. Every step ends with something
//! that was seen.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::Value;

use crate::house::{House, host};
use crate::load::Load;
use crate::platform::{text, until};
use crate::rpc::{Odoo, page};
use crate::state::{Place, State};
use crate::table::Steps;

/// Commits are told apart by time, so moments that are to be restored keep this
/// far from the writes around them.
const APART: Duration = Duration::from_millis(1200);

/// What a tenant holds of the walk: the partners and the attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    partners: Vec<String>,
    attachment: Option<Vec<u8>>,
}

struct Walk<'a> {
    house: &'a mut House,
    steps: Steps,
    /// Told apart from an earlier walk's on the same platform.
    mark: String,
}

/// Walks through it all and prints the table of times.
pub async fn walk(house: &mut House) -> Result<()> {
    let mark = format!("w{}", Timestamp::now().as_second());
    let mut walk = Walk { house, steps: Steps::default(), mark };
    walk.tenants().await?;
    walk.contents().await?;
    let snapshot = walk.snapshot().await?;
    let moments = walk.mistake().await?;
    walk.restore_snapshot(&snapshot).await?;
    walk.restore_times(&moments).await?;
    walk.suspend().await?;
    walk.kills().await?;
    walk.steps.print();
    Ok(())
}

/// Moments of the first lineage, and what acme served then.
struct Moments {
    between_writes: (Timestamp, Seen),
    before_restore: (Timestamp, Seen),
}

impl Walk<'_> {
    async fn acme(&self) -> Result<Odoo> {
        self.house.log_in("acme").await
    }

    fn partner(&self, name: &str) -> String {
        format!("{}-{name}", self.mark)
    }

    fn attachment(&self) -> String {
        format!("{}-contract.bin", self.mark)
    }

    async fn seen(&self, odoo: &Odoo) -> Result<Seen> {
        let partners = odoo.partners(&self.mark).await?;
        Ok(Seen { partners, attachment: odoo.attachment(&self.attachment()).await? })
    }

    async fn expect(&self, tenant: &str, expected: &Seen, after: &str) -> Result<()> {
        let seen = self.seen(&self.house.log_in(tenant).await?).await?;
        ensure!(
            seen.partners == expected.partners,
            "{after}: {:?}, expected {:?}",
            seen.partners,
            expected.partners
        );
        ensure!(seen.attachment == expected.attachment, "{after}: the attachment's bytes differ");
        Ok(())
    }

    async fn tenants(&mut self) -> Result<()> {
        for tenant in ["acme", "globex"] {
            let began = Instant::now();
            self.house.tenant(tenant).await?;
            self.house.log_in(tenant).await?;
            self.steps.done(
                &format!("host {tenant}"),
                began,
                format!("{} lets its administrator in", host(tenant)),
            );
        }
        Ok(())
    }

    async fn contents(&mut self) -> Result<()> {
        let began = Instant::now();
        for tenant in ["acme", "globex"] {
            let odoo = self.house.log_in(tenant).await?;
            for name in ["one", "two", "three"] {
                odoo.create_partner(&self.partner(name)).await?;
            }
            odoo.attach(&self.attachment(), &self.bytes(tenant)).await?;
        }
        let file = self.file("acme").await?;
        ensure!(file.is_file(), "{} is no file in the filestore", file.display());
        self.steps.done("create partners and an attachment in both", began, "a file in the filestore");
        Ok(())
    }

    /// Bytes that no other attachment has.
    fn bytes(&self, tenant: &str) -> Vec<u8> {
        format!("{tenant} {}\n", self.mark).repeat(2000).into_bytes()
    }

    /// The attachment's file in a tenant's filestore.
    async fn file(&self, tenant: &str) -> Result<std::path::PathBuf> {
        use sha1::Digest;
        let hash = hex::encode(sha1::Sha1::digest(self.bytes(tenant)));
        Ok(Place::of(&self.house.platform, tenant).await?.filestore().join(&hash[..2]).join(hash))
    }

    async fn snapshot(&mut self) -> Result<(String, State, Seen)> {
        let began = Instant::now();
        let expected = self.seen(&self.acme().await?).await?;
        let name = format!("before-mistake-{}", self.mark);
        let made = self.house.platform.heddle(&["snapshot", "create", "acme", "--name", &name]).await?;
        ensure!(made["state"] == "ready", "the snapshot is {}", made["state"]);
        self.steps.done("snapshot create acme", began, format!("ready at {}", text(&made, "lsn")));
        let state = State::of(&self.house.platform, "acme").await?;
        state.check_files()?;
        Ok((name, state, expected))
    }

    async fn mistake(&mut self) -> Result<Moments> {
        let began = Instant::now();
        let acme = self.acme().await?;
        tokio::time::sleep(APART).await;
        acme.create_partner(&self.partner("between")).await?;
        let between = self.seen(&acme).await?;
        tokio::time::sleep(APART).await;
        let between_writes = (Timestamp::now(), between);
        tokio::time::sleep(APART).await;
        let file = self.file("acme").await?;
        acme.delete_partners(&self.mark).await?;
        acme.delete_attachment(&self.attachment()).await?;
        acme.clean_up().await?;
        ensure!(!file.exists(), "Odoo's clean-up left {}", file.display());
        let emptied = self.seen(&acme).await?;
        ensure!(emptied == Seen { partners: Vec::new(), attachment: None }, "left: {:?}", emptied.partners);
        tokio::time::sleep(APART).await;
        let before_restore = (Timestamp::now(), emptied);
        tokio::time::sleep(APART).await;
        for tenant in ["acme", "globex"] {
            self.house.log_in(tenant).await?.create_partner(&self.partner("later")).await?;
        }
        self.steps.done("the mistake, and Odoo's clean-up", began, "partners, attachment and file are gone");
        Ok(Moments { between_writes, before_restore })
    }

    async fn restore_snapshot(&mut self, (name, state, expected): &(String, State, Seen)) -> Result<()> {
        let began = Instant::now();
        let platform = &self.house.platform;
        let planned = platform.try_heddle(&["restore", "acme", "--to", name]).await?;
        ensure!(planned.code == 5, "a restore without --yes ended with {}: {}", planned.code, planned.stderr);
        ensure!(
            planned.stderr.contains("Point acme at the new cell"),
            "no plan was printed:\n{}",
            planned.stderr
        );
        let globex = self.house.log_in("globex").await?;
        let before = self.seen(&globex).await?;
        let load = Load::start(&globex).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let restoring = Instant::now();
        let restored = platform.heddle(&["restore", "acme", "--to", name, "--yes"]).await?;
        let took = restoring.elapsed();
        ensure!(restored["state"] == "succeeded", "the restore is {}", restored["state"]);
        // At least as many requests as can mean something.
        tokio::time::sleep(Duration::from_secs(5).saturating_sub(restoring.elapsed())).await;
        let served = load.stop().await?;
        ensure!(served.failed == 0, "{} of globex's {} requests failed", served.failed, served.requests);
        ensure!(served.per_second >= 20.0, "only {:.1} requests a second", served.per_second);
        self.house.serving("acme").await?;
        let now = State::of(&self.house.platform, "acme").await?;
        let differences = state.differences(&now);
        ensure!(differences.is_empty(), "acme is not what it was: {differences:#?}");
        self.expect("acme", expected, "restored to the snapshot").await?;
        ensure!(self.file("acme").await?.is_file(), "the attachment's file is not back");
        let after = self.seen(&self.house.log_in("globex").await?).await?;
        ensure!(before == after, "globex changed");
        self.steps.done(
            "restore acme --to the snapshot",
            began,
            format!(
                "{} rows and {} files as they were in {:.1} s; globex: {} requests ({} on its database), {} failed, {:.0} a second, slowest {} ms",
                now.rows(), now.files.len(), took.as_secs_f64(), served.requests, served.database, served.failed,
                served.per_second, served.slowest.as_millis()
            ),
        );
        Ok(())
    }

    async fn restore_to(&mut self, what: &str, at: &str, expected: &Seen) -> Result<Value> {
        let began = Instant::now();
        let restored = self.house.platform.heddle(&["restore", "acme", "--at", at, "--yes"]).await?;
        ensure!(restored["state"] == "succeeded", "the restore is {}", restored["state"]);
        self.house.serving("acme").await?;
        self.expect("acme", expected, what).await?;
        let lineages = restored["plan"]["lineages"].as_array().map(Vec::len).unwrap_or_default();
        let source = text(&restored["plan"], "source_lineage");
        self.steps.done(
            &format!("restore acme --at {what}"),
            began,
            format!(
                "{} partners, from lineage …{} over {lineages}",
                expected.partners.len(),
                &source[source.len() - 6..]
            ),
        );
        Ok(restored)
    }

    async fn restore_times(&mut self, moments: &Moments) -> Result<()> {
        let first = self.first_lineage().await?;
        let (at, expected) = &moments.between_writes;
        let restored = self.restore_to("a second between two writes", &at.to_string(), expected).await?;
        ensure!(text(&restored["plan"], "source_lineage") == first, "the plan names another lineage");

        let acme = self.acme().await?;
        acme.create_partner(&self.partner("idle")).await?;
        let expected = self.seen(&acme).await?;
        tokio::time::sleep(APART * 2).await;
        let idle = Timestamp::now();
        tokio::time::sleep(APART * 2).await;
        let lineage = Place::of(&self.house.platform, "acme").await?.lineage;
        let restored = self.restore_to("an idle second", &idle.to_string(), &expected).await?;
        ensure!(text(&restored["plan"], "source_lineage") == lineage, "the plan names another lineage");

        let acme = self.acme().await?;
        acme.create_partner(&self.partner("kept")).await?;
        let expected = self.seen(&acme).await?;
        tokio::time::sleep(APART * 2).await;
        acme.create_partner(&self.partner("too-late")).await?;
        self.restore_to("one second ago", "-1s", &expected).await?;

        let (at, expected) = &moments.before_restore;
        let what = "a second between the mistake and its restore";
        let restored = self.restore_to(what, &at.to_string(), expected).await?;
        ensure!(text(&restored["plan"], "source_lineage") == first, "the plan names another lineage");
        Ok(())
    }

    /// The lineage that acme served before this walk's first restore.
    async fn first_lineage(&self) -> Result<String> {
        let tenant = self.house.platform.heddle(&["tenant", "show", "acme"]).await?;
        let folder = self.house.platform.data.join("tenants").join(text(&tenant, "id"));
        let mut fenced: Vec<String> = fs::read_dir(folder)?
            .flatten()
            .filter(|entry| entry.path().join("cell.fenced").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        // Ids sort by the time of their making: the last fenced is what was
        // served until the restore.
        fenced.sort();
        fenced.pop().context("no cell is fenced")
    }

    async fn suspend(&mut self) -> Result<()> {
        let began = Instant::now();
        let router = self.house.platform.router.clone();
        self.house.platform.heddle(&["tenant", "suspend", "acme"]).await?;
        until(Duration::from_secs(20), "visitors see that acme is suspended", async || {
            let (status, page) = page(&router, &host("acme"), "/web/login").await?;
            Ok(status == StatusCode::SERVICE_UNAVAILABLE && page.to_lowercase().contains("suspended"))
        })
        .await?;
        self.house.platform.heddle(&["tenant", "resume", "acme"]).await?;
        self.house.serving("acme").await?;
        self.acme().await?;
        self.steps.done("suspend and resume acme", began, "a page that says so, then its login form");
        Ok(())
    }

    async fn kills(&mut self) -> Result<()> {
        self.kill_in_restore("worker", "restore.fenced").await?;
        self.kill_in_restore("control", "control.record").await?;
        self.kill_router().await
    }

    /// Kills a role in the middle of a restore of acme, while globex is asked.
    async fn kill_in_restore(&mut self, role: &str, point: &str) -> Result<()> {
        let began = Instant::now();
        let acme = self.acme().await?;
        acme.create_partner(&self.partner(role)).await?;
        let name = format!("{}-{role}", self.mark);
        self.house.platform.heddle(&["snapshot", "create", "acme", "--name", &name]).await?;
        let (state, expected) = (State::of(&self.house.platform, "acme").await?, self.seen(&acme).await?);
        acme.create_partner(&self.partner("lost")).await?;

        let globex = self.house.log_in("globex").await?;
        let load = Load::start(&globex).await?;
        let platform = &self.house.platform;
        let pid = platform.role(role).with_context(|| format!("{role} does not run"))?;
        platform.arm(point)?;
        let restore = ["--json", "restore", "acme", "--to", &name, "--yes"];
        let (restored, killed) =
            tokio::join!(platform.try_heddle(&restore), platform.reached(point, Duration::from_secs(60)),);
        killed?;
        let restored = restored?;
        until(Duration::from_secs(30), &format!("{role} is back"), async || {
            Ok(platform.role(role).is_some_and(|now| now != pid))
        })
        .await?;
        ensure!(restored.code == 0, "the restore ended with {}: {}", restored.code, restored.stderr);
        let served = load.stop().await?;
        ensure!(served.failed == 0, "{} of globex's {} requests failed", served.failed, served.requests);
        self.house.serving("acme").await?;
        let differences = state.differences(&State::of(&self.house.platform, "acme").await?);
        ensure!(differences.is_empty(), "acme is not what it was: {differences:#?}");
        self.expect("acme", &expected, "restored across a kill").await?;
        self.steps.done(
            &format!("kill {role} at {point}"),
            began,
            format!("the restore was taken up; globex: {} requests, 0 failed", served.requests),
        );
        Ok(())
    }

    async fn kill_router(&mut self) -> Result<()> {
        let began = Instant::now();
        let platform = &self.house.platform;
        let pid = platform.role("router").context("the router does not run")?;
        platform.arm("router.request")?;
        let cut = page(&platform.router, &host("acme"), "/web/login").await;
        platform.reached("router.request", Duration::from_secs(10)).await?;
        ensure!(cut.is_err(), "the request that killed the router was answered");
        until(Duration::from_secs(30), "the router is back", async || {
            Ok(platform.role("router").is_some_and(|now| now != pid)
                && page(&platform.router, &host("acme"), "/web/login").await.is_ok())
        })
        .await?;
        for tenant in ["acme", "globex"] {
            self.house.serving(tenant).await?;
            self.house.log_in(tenant).await?;
        }
        self.steps.done("kill router at router.request", began, "both tenants are served again");
        Ok(())
    }
}

/// What `heddle up` says of itself, for somebody who wants to look around.
pub fn welcome(house: &House) -> Result<String> {
    let platform = &house.platform;
    let port = platform.router.rsplit_once(':').context("a port")?.1;
    let mut lines = vec![String::new(), "Heddle is up.".to_owned(), String::new()];
    lines.push(format!("  console   {}", platform.console));
    lines.push(match &platform.one_time_password {
        Some(password) => format!("            sign in as admin with the one-time password {password}"),
        None => "            sign in as admin with the password you have chosen".to_owned(),
    });
    for tenant in ["acme", "globex"] {
        lines.push(format!(
            "  {tenant:<9} http://{}:{port}   admin / {}",
            host(tenant),
            house.password(tenant)?
        ));
    }
    lines.push(String::new());
    lines.push("Clients that do not map *.localhost send the Host header to 127.0.0.1.".to_owned());
    lines.push(format!("Commands: HEDDLE_DATA={} heddle status", platform.data.display()));
    lines.push("Ctrl-C stops it.".to_owned());
    Ok(lines.join("\n"))
}

/// The data folder must not be one that somebody's tenants live in by chance.
pub fn check_folder(data: &Path) -> Result<()> {
    let foreign = data.exists()
        && fs::read_dir(data)?.next().is_some()
        && !data.join("heddle.toml").exists()
        && !data.join("bin/heddle").exists();
    ensure!(!foreign, "{} is not empty and is not Heddle's; choose another with DATA=", data.display());
    Ok(())
}

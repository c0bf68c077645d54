//! A day's work on the console, with the keyboard alone: people, keys,
//! schedules, alerts, approvals, the audit.

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;

use super::{LATER, PASSWORD, SOON, Tour};
use crate::platform::Platform;

/// Somebody who works beside the administrator.
const BEA: &str = "bea@example.com";

/// Besides those of single things.
const PAGES: &[&str] = &[
    "/tenants",
    "/new-tenant",
    "/runs",
    "/runs?state=dead",
    "/approvals",
    "/approvals?decided=true",
    "/policies",
    "/members",
    "/users",
    "/keys",
    "/new-key",
    "/schedules",
    "/schedules/demo/hourly",
    "/alerts",
    "/alerts?state=resolved",
    "/audit",
    "/audit?act=tenants",
    "/status",
];

impl Tour {
    /// Goes on after what does not hold, and tells of all of it at the end.
    pub(super) async fn work(&mut self, platform: &Platform, tenant: &str) -> Result<()> {
        self.client.set_window_size(1200, 900).await?;
        let mut pages = vec![format!("/tenants/{tenant}"), format!("/projects/demo/members/{BEA}")];
        let skipped = self.skip_to_the_content().await;
        self.note("the skip link", skipped);
        let one_time = self.people().await;
        let one_time = self.note("people", one_time).unwrap_or_default();
        let key = self.keys_of_ones_own().await;
        pages.extend(self.note("keys", key));
        let scheduled = self.schedules(platform).await;
        self.note("schedules", scheduled);
        let run = self.runs(platform).await;
        pages.extend(self.note("runs", run));
        let acknowledged = self.alerts().await;
        self.note("alerts", acknowledged);
        let decided = self.approvals(platform, tenant, &one_time).await;
        pages.extend(self.note("approvals", decided).unwrap_or_default());
        let read = self.audit().await;
        self.note("the audit", read);
        pages.push(format!("/users/{BEA}"));
        for path in PAGES.iter().copied().chain(pages.iter().map(String::as_str)) {
            self.looks(path).await?;
        }
        ensure!(self.faults.is_empty(), "{} faults:\n{}", self.faults.len(), self.faults.join("\n"));
        Ok(())
    }

    fn note<T>(&mut self, what: &str, came: Result<T>) -> Option<T> {
        came.map_err(|error| self.faults.push(format!("{what}: {error:#}"))).ok()
    }

    /// By its place in the navigation.
    async fn section(&mut self, path: &str) -> Result<()> {
        self.press(&format!("nav.nav a[href='{path}']")).await?;
        self.at(path).await
    }

    /// The first stop of each page leads past the navigation.
    async fn skip_to_the_content(&mut self) -> Result<()> {
        self.client.goto(&format!("{}/tenants", self.base)).await?;
        self.press("a.skip").await?;
        let inside = "return document.activeElement.id === 'main' || location.hash === '#main'";
        self.becomes_true(inside, "the skip link leads to the content").await?;
        self.client.goto(&format!("{}/tenants", self.base)).await?;
        self.section("/runs").await
    }

    async fn people(&mut self) -> Result<String> {
        self.section("/members").await?;
        self.press("#users").await?;
        self.at("/users").await?;
        self.enter("#login", BEA).await?;
        self.press("#create").await?;
        self.see("h1", "can sign in", SOON).await?;
        let password = self.client.find(Locator::Css("#one-time")).await?.text().await?;
        self.press("#to-members").await?;
        self.at("/members").await?;
        for (login, role) in [("admin", "owner"), (BEA, "tester")] {
            self.enter("#login", login).await?;
            self.enter("#role", role).await?;
            self.press("#add").await?;
            self.see("main", role, SOON).await?;
            self.becomes_true(&format!("return !!document.getElementById('member-{login}')"), login).await?;
        }
        self.press(&format!("[id='member-{BEA}']")).await?;
        self.see("#role-now", "tester", SOON).await?;
        self.press("#grant").await?;
        self.press("#withdraw-production-operate").await?;
        self.see("main", "Nothing more", SOON).await?;
        self.enter("#role", "admin").await?;
        self.press("#save").await?;
        self.see("#role-now[data-role=admin]", "admin", SOON).await?;
        Ok(password)
    }

    async fn keys_of_ones_own(&mut self) -> Result<String> {
        self.section("/keys").await?;
        self.press("#new-key").await?;
        self.at("/new-key").await?;
        self.enter("#name", "nightly builds").await?;
        self.enter("#project", "demo").await?;
        self.tick("#scope-test").await?;
        self.enter("#term", "30 days").await?;
        self.press("#create").await?;
        self.see("#key", "hk_", SOON).await?;
        self.press("#to-key").await?;
        self.see("main", "demo only", SOON).await?;
        let path = self.client.current_url().await?.path().to_owned();
        self.press("summary#revoke").await?;
        self.press("#confirm-revoke").await?;
        self.see("#key-state[data-revoked=true]", "Revoked", SOON).await?;
        Ok(path)
    }

    async fn schedules(&mut self, platform: &Platform) -> Result<()> {
        let hourly =
            ["schedule", "create", "demo/hourly", "probe", "--cron", "@hourly", "--zone", "Europe/Paris"];
        platform.heddle(&hourly).await?;
        // Always open, so that it holds nothing.
        platform
            .heddle(&["maintenance", "create", "demo/always", "--cron", "* * * * *", "--for", "5m"])
            .await?;
        self.section("/schedules").await?;
        self.see("main", "demo/always", SOON).await?;
        self.press("#schedule-demo-hourly").await?;
        self.at("/schedules/demo/hourly").await?;
        for (word, state) in [("Off", "false"), ("On", "true")] {
            self.press("#switch").await?;
            self.see(&format!("#schedule-state[data-enabled={state}]"), word, SOON).await?;
        }
        self.press("#run-now").await?;
        self.see("h1", "Probe", SOON).await?;
        self.see("#run-state[data-state=succeeded]", "Succeeded", LATER).await
    }

    /// One that no worker takes appears by itself, and is given up, asked for
    /// again, and given up.
    async fn runs(&mut self, platform: &Platform) -> Result<String> {
        self.section("/runs").await?;
        let probe = platform.heddle(&["run", "probe", "demo", "--label", "nowhere", "--no-wait"]).await?;
        let id = probe[0]["id"].as_str().with_context(|| format!("the run's id in {probe}"))?;
        self.see(&format!("[id='run-{id}']"), "Probe", SOON).await?;
        self.press(&format!("[id='run-{id}']")).await?;
        for (button, state) in [("cancel", "cancelled"), ("retry", "queued"), ("cancel", "cancelled")] {
            self.press(&format!("#{button}")).await?;
            self.see(&format!("#run-state[data-state={state}]"), "", SOON).await?;
        }
        Ok(format!("/runs/{id}"))
    }

    /// A restore in production was planned before: that is told of.
    async fn alerts(&mut self) -> Result<()> {
        self.see("nav.nav [data-slot=alerts] .count", "", LATER).await?;
        self.section("/alerts").await?;
        self.see("main", "Production is being restored", SOON).await?;
        let buttons = Locator::Css("[id^=acknowledge-]");
        while let Some(button) = self.client.find_all(buttons).await?.first() {
            let id = button.attr("id").await?.context("a button's id")?;
            self.press(&format!("#{id}")).await?;
            let gone = format!("return !document.getElementById('{id}')");
            self.becomes_true(&gone, "an alert is acknowledged").await?;
        }
        self.see("main", "acknowledged by you", SOON).await?;
        let none = "return !document.querySelector('nav.nav [data-slot=alerts] .count')";
        self.becomes_true(none, "an alert that somebody looks at is not counted").await?;
        self.press("#alerts-resolved").await?;
        self.see("#alerts-resolved[aria-current]", "", SOON).await
    }

    /// Bea asks for two snapshots, and the administrator decides.
    async fn approvals(&mut self, platform: &Platform, tenant: &str, one_time: &str) -> Result<Vec<String>> {
        let policy = ["demo", "snapshot", "--stage", "production"];
        platform.heddle(&[&["policy", "set"], &policy[..], &["--approvals", "1"]].concat()).await?;
        self.change_to(BEA, one_time).await?;
        self.enter("#password", PASSWORD).await?;
        self.enter("#again", PASSWORD).await?;
        self.press("#set-password").await?;
        self.at("/tenants").await?;
        for name in ["risky", "wanted"] {
            self.client.goto(&format!("{}/tenants/{tenant}", self.base)).await?;
            self.enter("#snapshot-name", name).await?;
            self.press("#create-snapshot").await?;
            self.press(&format!("#snapshot-{name}-run")).await?;
            self.see("main", "waits for the approval of admin", SOON).await?;
        }
        let run = self.client.current_url().await?.path().to_owned();
        self.press("#its-approval").await?;
        self.see("main", "somebody else decides", SOON).await?;
        let offered = self.client.find_all(Locator::Css("#approve, #reject")).await?.len();
        self.check(offered == 0, "nobody decides on what they have asked for")?;

        self.change_to("admin", PASSWORD).await?;
        self.at("/tenants").await?;
        self.see("nav.nav [data-slot=approvals]", "2", SOON).await?;
        self.section("/approvals").await?;
        self.see("main", "Waits for you", SOON).await?;
        // The newest stands first.
        for (decision, note, state) in [("approve", "go on", "granted"), ("reject", "not today", "refused")] {
            self.press("[id^=approval-]").await?;
            self.enter("#note", note).await?;
            self.press(&format!("#{decision}")).await?;
            self.see(&format!("#approval-state[data-state={state}]"), "", SOON).await?;
            self.see("main", note, SOON).await?;
            if decision == "approve" {
                self.section("/approvals").await?;
            }
        }
        let approval = self.client.current_url().await?.path().to_owned();
        self.press("#its-run").await?;
        self.see("#run-state[data-state=cancelled]", "", SOON).await?;
        let rejected = self.client.current_url().await?.path().to_owned();
        self.client.goto(&format!("{}{run}", self.base)).await?;
        self.see("#run-state[data-state=succeeded]", "Succeeded", LATER).await?;
        platform.heddle(&[&["policy", "remove"], &policy[..]].concat()).await.map(drop)?;
        Ok(vec![approval, rejected])
    }

    /// Signs out, and in again as somebody else.
    async fn change_to(&mut self, login: &str, password: &str) -> Result<()> {
        self.press("#sign-out").await?;
        self.at("/sign-in").await?;
        self.enter("#login", login).await?;
        self.enter("#password", password).await?;
        self.press("#sign-in").await?;
        self.at_either(&["/tenants", "/password"]).await
    }

    async fn audit(&mut self) -> Result<()> {
        self.section("/audit").await?;
        self.enter("#act", "Members").await?;
        self.press("#show").await?;
        self.see("main", "Member changed", SOON).await?;
        self.press(".audit li:first-child summary").await?;
        self.see(".audit li:first-child .lineage", "in the console", SOON).await?;
        let entry = self.client.find(Locator::Css(".audit li:first-child .lineage")).await?.text().await?;
        self.check(entry.contains("tester → admin"), &format!("what was changed is told: {entry}"))?;
        self.see("#verify", "", SOON).await.context("the seal's part")?;
        self.press("#verify").await?;
        self.see("#checked", "It is as it was sealed", SOON).await
    }
}

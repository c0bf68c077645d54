//! A platform with the project `demo`, its production environment, and tenants.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;

use crate::platform::{Platform, text, until};
use crate::rpc::{Odoo, page};

/// What tenants of the demonstration start with.
pub const MODULES: &str = "base,web,mail,contacts,crm";

pub struct House {
    pub platform: Platform,
    passwords: BTreeMap<String, String>,
}

impl House {
    /// Moves into a platform: makes what is missing of project, build and
    /// environment. `addons` is a further addons folder.
    pub async fn move_in(
        platform: Platform,
        odoo: &Path,
        addons: Option<&Path>,
        modules: &str,
    ) -> Result<Self> {
        let house = Self { passwords: read_passwords(&platform)?, platform };
        if house.platform.try_heddle(&["env", "list", "--json"]).await?.stdout.contains("\"production\"") {
            return Ok(house);
        }
        let platform = &house.platform;
        let projects = platform.heddle(&["project", "list"]).await?;
        if !projects.to_string().contains("\"demo\"") {
            platform.heddle(&["project", "create", "demo"]).await?;
        }
        let odoo = odoo.to_str().context("Odoo's path")?;
        let mut create = vec!["build", "create", "demo", "--odoo", odoo, "--modules", modules];
        if let Some(addons) = addons {
            create.extend(["--addons", addons.to_str().context("the addons' path")?]);
        }
        platform.heddle(&create).await?;
        platform.heddle(&["env", "create", "demo/production"]).await?;
        Ok(house)
    }

    /// A tenant that serves, made if it is missing.
    pub async fn tenant(&mut self, name: &str) -> Result<()> {
        let known = self.platform.heddle(&["tenant", "list"]).await?;
        if !known.to_string().contains(&format!("\"{name}\"")) {
            let made = self.platform.heddle(&["tenant", "create", name, "--env", "demo/production"]).await?;
            self.passwords.insert(name.to_owned(), text(&made, "admin_password"));
            self.keep_passwords()?;
        }
        self.serving(name).await
    }

    /// Waits until a tenant shows its login form to a visitor.
    pub async fn serving(&self, name: &str) -> Result<()> {
        until(Duration::from_secs(120), &format!("{name} serves"), async || {
            let (status, text) = page(&self.platform.router, &host(name), "/web/login").await?;
            Ok(status == StatusCode::OK && text.contains("csrf_token"))
        })
        .await
    }

    pub fn password(&self, tenant: &str) -> Result<&str> {
        self.passwords
            .get(tenant)
            .map(String::as_str)
            .with_context(|| format!("no password of {tenant} is known"))
    }

    /// Signs in to a tenant as its administrator.
    pub async fn log_in(&self, tenant: &str) -> Result<Odoo> {
        let database = tenant.replace('-', "_");
        Odoo::log_in(&self.platform.router, &host(tenant), &database, self.password(tenant)?).await
    }

    /// The administrators' passwords are shown once; a second walk on the same
    /// data folder needs them again.
    fn keep_passwords(&self) -> Result<()> {
        let path = passwords_file(&self.platform);
        let text = serde_json::to_vec(&self.passwords)?;
        let mut file = fs::File::options();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        ensure!(file.metadata()?.permissions().mode() & 0o077 == 0, "{} is open to others", path.display());
        fs::write(&path, text).context("keep the passwords")
    }
}

fn passwords_file(platform: &Platform) -> PathBuf {
    platform.data.with_extension("passwords")
}

fn read_passwords(platform: &Platform) -> Result<BTreeMap<String, String>> {
    match fs::read(passwords_file(platform)) {
        Ok(text) => serde_json::from_slice(&text).context("read the passwords"),
        Err(_) => Ok(BTreeMap::new()),
    }
}

pub fn host(tenant: &str) -> String {
    format!("{tenant}.localhost")
}

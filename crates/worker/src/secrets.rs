//! A tenant's secrets on its host: made here, never sent anywhere but to the
//! programs that need them.

use std::path::Path;

use daemon::secretfile;
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure};

#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Of the role `odoo` in every cell of the tenant.
    pub database_password: String,
    /// Odoo's own, which nobody uses.
    pub master_password: String,
    /// What the router shows to the tenant's Odoo.
    pub router_key: String,
}

impl Secrets {
    /// The tenant's secrets, made and stored the first time.
    pub fn of(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("odoo.json");
        if path.exists() {
            let text = secretfile::read(&path).doing("read the tenant's secrets")?;
            return serde_json::from_str(&text).doing("read the tenant's secrets");
        }
        let secrets =
            Self { database_password: random()?, master_password: random()?, router_key: random()? };
        crate::host::make_folder(folder, 0o700, None)?;
        let text = serde_json::to_vec(&secrets).doing("write the tenant's secrets")?;
        secretfile::write(&path, &text).doing("write the tenant's secrets")?;
        Ok(secrets)
    }
}

/// 256 random bits in hexadecimal.
pub fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).doing("draw a secret")?;
    Ok(hex::encode(bytes))
}

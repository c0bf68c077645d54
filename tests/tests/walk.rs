//! The walk of `make demo EXIT=1`, on a platform of its own.

use std::path::PathBuf;

use anyhow::{Context, Result};
use walk::house::{House, MODULES};
use walk::platform::Platform;

fn named(variable: &str) -> Result<PathBuf> {
    let value = std::env::var_os(variable);
    value.map(PathBuf::from).with_context(|| format!("{variable} is not set; `make test` sets it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_are_hosted_and_one_is_given_back() -> Result<()> {
    let (heddle, odoo) = (named("HEDDLE_TEST_BIN")?, named("HEDDLE_TEST_ODOO")?);
    let folder = tempfile::Builder::new()
        .prefix("heddle-walk-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .tempdir_in("/var/tmp")?;
    let platform = Platform::start(&heddle, &folder.path().join("data"), &[]).await?;
    let mut house = House::move_in(platform, &odoo, None, MODULES).await?;
    walk::walk::walk(&mut house).await?;
    house.platform.stop().await
}

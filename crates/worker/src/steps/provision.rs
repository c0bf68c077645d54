//! Makes a tenant: a physical copy of its build's template, with an identity
//! and secrets of its own before anything is started on it.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use daemon::fault;
use model::program::Identity;
use model::tenant::Serving;
use model::{ClusterId, LineageId, TenantDatabaseId};
use odoo::sql::FreshTenant;
use protocol::internal::{BuildWork, Fact, Placed, TenantWork};
use walkdir::WalkDir;

use super::build::{TEMPLATE_DATABASE, Template};
use super::clear_leftovers;
use crate::cell::{self, Cell};
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};
use crate::report::Run;
use crate::secrets::random;
use crate::serve::Serve;

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    build: &BuildWork,
    admin_password_hash: &str,
) -> Result<(), Failure> {
    // The last worker may have been killed just after control was told.
    if let Some(placed) = tenant.placed {
        return arrive(host, run, tenant, placed).await;
    }
    let template = host.layout.build(build.build);
    if Template::read(&template).is_none() {
        return Err(Failure::new("the build's template is not on this host")
            .hint("build it again: `heddle build create`"));
    }
    clear_leftovers(host, run, tenant.tenant, &[]).await?;
    let placed = Placed {
        tenant_database: TenantDatabaseId::new(),
        cluster: ClusterId::new(),
        lineage: LineageId::new(),
    };
    let made = make(host, run, tenant, &template, placed, admin_password_hash).await;
    if let Err(failure) = made {
        // Nothing half made is left, whatever the reason was.
        clear_leftovers(host, run, tenant.tenant, &[]).await?;
        return Err(failure);
    }
    arrive(host, run, tenant, placed).await
}

/// Has control serve the tenant from its cell, which runs with its Odoo.
/// Repeatable: from the first time on the cell is the tenant's, and stays.
async fn arrive(host: &Host, run: &Run, tenant: &TenantWork, placed: Placed) -> Result<(), Failure> {
    let recorded = run.record(Fact::TenantProvisioned { tenant: tenant.tenant, placed }).await?;
    fault::reach("provision.activated").await;
    let activation = recorded.activation.ok_or_else(|| Failure::new("control named no activation"))?;
    let cell = Cell::new(host, tenant, placed);
    cell.archive().put_activation(activation).await.doing("record the activation")?;
    let serve = Serve::new(host, tenant, cell);
    super::restore::tell(host, &serve, Serving::Serving).await;
    run.progress(1.0, format!("{} serves", tenant.name));
    Ok(())
}

async fn make(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    template: &Path,
    placed: Placed,
    admin_password_hash: &str,
) -> Result<(), Failure> {
    let cell = Cell::new(host, tenant, placed);
    cell.make_folders()?;
    let serve = Serve::new(host, tenant, Cell::new(host, tenant, placed));
    run.progress(0.1, "Copying the template");
    let system_identifier = copy(host, tenant, &cell, &serve, template, admin_password_hash).await?;
    fault::reach("provision.copied").await;
    run.go_on()?;

    let lineage = cell::first_lineage(placed, tenant.tenant, system_identifier, &tenant.database);
    cell.archive().put_lineage(lineage.clone()).await.doing("record the lineage")?;
    run.record(Fact::CellCreated { tenant: tenant.tenant, placed, lineage }).await?;
    fault::reach("provision.recorded").await;

    run.progress(0.4, "Starting its cluster");
    let client = cell.connect().await?;
    run.progress(0.5, "Taking its first base backup");
    cell.archive().sync_filestore(&cell.filestore()).await.doing("keep the filestore")?;
    super::backup::take(run, &cell, client).await?;
    fault::reach("provision.backed_up").await;
    run.go_on()?;

    run.progress(0.7, "Starting its Odoo");
    serve.start().await?;
    serve.ready().await?;
    fault::reach("provision.serving").await;
    run.go_on()?;
    Ok(())
}

/// Copies the template's cluster and filestore, and makes them the tenant's own.
async fn copy(
    host: &Host,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    serve: &Serve<'_>,
    template: &Path,
    admin_password_hash: &str,
) -> Result<u64, Failure> {
    let secrets = serve.secrets()?;
    let verifier = postgres::verifier(&secrets.database_password);
    let fresh = FreshTenant {
        database_uuid: uuid::Uuid::new_v4(),
        secret: random()?,
        admin_password_hash: admin_password_hash.to_owned(),
        base_url: tenant.url.clone(),
    };
    let cluster = vec![
        postgres::alter_password(odoo::config::ROLE, &verifier),
        postgres::rename_database(TEMPLATE_DATABASE, &tenant.database),
    ];
    let setup = vec![
        (TEMPLATE_DATABASE.to_owned(), odoo::sql::fresh_tenant_sql(&fresh)),
        (postgres::MAINTENANCE_DATABASE.to_owned(), cluster),
    ];
    let (binaries, user) = (host.binaries.clone(), host.initdb_user.clone());
    let identity = host.layout.cell_identity(tenant.ordinal);
    let from = template.join("data");
    let to = host.layout.cell(tenant.tenant, cell.lineage());
    let files = template.join("files/filestore").join(TEMPLATE_DATABASE);
    let filestore = host.layout.filestore(tenant.tenant, cell.lineage(), &tenant.database);
    let files_identity = host.layout.odoo_identity(tenant.ordinal);
    blocking(move || {
        let sibling = postgres::make_sibling(&binaries, &from, &to, user.as_ref(), identity, &setup)
            .doing("copy the template")?;
        copy_files(&files, &filestore, files_identity)?;
        Ok(sibling.system_identifier)
    })
    .await
}

/// Copies the template's filestore; what the template lacks is no fault.
fn copy_files(from: &Path, to: &Path, owner: Option<Identity>) -> Result<(), Failure> {
    let what = "copy the template's filestore";
    let own = |path: &Path| match owner {
        Some(Identity { uid, gid }) => lchown(path, Some(uid), Some(gid)).doing(what),
        None => Ok(()),
    };
    fs::create_dir_all(to).doing(what)?;
    if let Some(parent) = to.parent() {
        own(parent)?;
    }
    own(to)?;
    if !from.exists() {
        return Ok(());
    }
    for entry in WalkDir::new(from).min_depth(1) {
        let entry = entry.doing(what)?;
        let target = to.join(entry.path().strip_prefix(from).doing(what)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).doing(what)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &target).doing(what)?;
        }
        own(&target)?;
    }
    Ok(())
}

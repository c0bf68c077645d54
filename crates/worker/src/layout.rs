//! Where things are on a worker's host, and as whom they run.

use std::path::PathBuf;

use model::program::{Identity, ProgramId};
use model::{BuildId, LineageId, PeekId, TenantId};

/// Names of folders, sockets and programs; touches nothing.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The data folder.
    pub data: PathBuf,
    /// Sockets; short, since a socket's path has at most 107 bytes.
    pub run: PathBuf,
    /// The first of the user ids that tenants run as; None when not root: then
    /// everything runs as one.
    pub identity_base: Option<u32>,
}

impl Layout {
    pub fn programs(&self) -> PathBuf {
        self.data.join("programs")
    }

    pub fn addons(&self) -> PathBuf {
        self.data.join("addons")
    }

    pub fn build(&self, build: BuildId) -> PathBuf {
        self.data.join("builds").join(build.to_string())
    }

    pub fn tenant(&self, tenant: TenantId) -> PathBuf {
        self.data.join("tenants").join(tenant.to_string())
    }

    pub fn lineage(&self, tenant: TenantId, lineage: LineageId) -> PathBuf {
        self.tenant(tenant).join(lineage.to_string())
    }

    /// The cell's data directory.
    pub fn cell(&self, tenant: TenantId, lineage: LineageId) -> PathBuf {
        self.lineage(tenant, lineage).join("cell")
    }

    /// Where a fenced cell's data directory is moved, so that nothing that
    /// knows its old place can start it.
    pub fn fenced(&self, tenant: TenantId, lineage: LineageId) -> PathBuf {
        self.lineage(tenant, lineage).join("cell.fenced")
    }

    /// Odoo's `data_dir`: filestore and sessions.
    pub fn odoo(&self, tenant: TenantId, lineage: LineageId) -> PathBuf {
        self.lineage(tenant, lineage).join("odoo")
    }

    pub fn filestore(&self, tenant: TenantId, lineage: LineageId, database: &str) -> PathBuf {
        self.odoo(tenant, lineage).join("filestore").join(database)
    }

    pub fn socket_dir(&self, lineage: LineageId) -> PathBuf {
        self.run.join(short(lineage.0))
    }

    pub fn archive_socket(&self, lineage: LineageId) -> PathBuf {
        self.run.join("a").join(format!("{}.sock", short(lineage.0)))
    }

    pub fn files_socket(&self, lineage: LineageId) -> PathBuf {
        self.run.join("a").join(format!("{}.files.sock", short(lineage.0)))
    }

    /// Of tenants, but none of their cells: nothing in there is ever served.
    pub fn peeks(&self) -> PathBuf {
        self.data.join("peeks")
    }

    pub fn peek(&self, peek: PeekId) -> PathBuf {
        self.peeks().join(peek.to_string())
    }

    pub fn peek_socket_dir(&self, peek: PeekId) -> PathBuf {
        self.run.join(short(peek.0))
    }

    pub fn peek_archive_socket(&self, peek: PeekId) -> PathBuf {
        self.run.join("a").join(format!("{}.sock", short(peek.0)))
    }

    pub fn odoo_identity(&self, ordinal: u32) -> Option<Identity> {
        self.identity(2 * ordinal)
    }

    pub fn cell_identity(&self, ordinal: u32) -> Option<Identity> {
        self.identity(2 * ordinal + 1)
    }

    fn identity(&self, offset: u32) -> Option<Identity> {
        self.identity_base.map(|base| Identity { uid: base + offset, gid: base + offset })
    }
}

/// A socket's folder takes the random end of the id: ids made in one
/// millisecond share their beginning.
fn short(id: uuid::Uuid) -> String {
    let id = id.simple().to_string();
    id[id.len() - 12..].to_owned()
}

/// The program of a lineage's cell.
pub fn cell_program(lineage: LineageId) -> ProgramId {
    program("cell", lineage)
}

/// The program that recovers a lineage's cell; it ends once.
pub fn recovery_program(lineage: LineageId) -> ProgramId {
    program("recovery", lineage)
}

/// The program of the Odoo that serves a lineage.
pub fn odoo_program(lineage: LineageId) -> ProgramId {
    program("odoo", lineage)
}

/// The program of a peek; it ends once.
pub fn peek_program(peek: PeekId) -> ProgramId {
    program("peek", peek)
}

pub fn template_program(build: BuildId) -> ProgramId {
    program("template", build)
}

pub fn init_program(build: BuildId) -> ProgramId {
    program("init", build)
}

fn program(what: &str, id: impl std::fmt::Display) -> ProgramId {
    format!("{what}-{id}").parse().expect("a word and an id make a program's name")
}

//! The route table: what requests are looked up in, and its file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use model::route::{Host, Route, RouteTable};
use protocol::internal::Routes;

/// One state of the route table. Replaced as a whole, never changed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Control's word for this state; None before anything is known.
    version: Option<String>,
    routes: RouteTable,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("read the route table {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("understand the route table {path}")]
    Understand {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("write the route table {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Table {
    pub(crate) fn new(routes: Routes) -> Self {
        let entries = routes.routes.into_iter().map(|entry| {
            let route = Route {
                tenant: entry.tenant,
                name: entry.name,
                state: entry.state,
                serving: entry.serving,
                http: entry.http,
                gevent: entry.gevent,
                router_key: entry.router_key,
            };
            (entry.host, route)
        });
        Self { version: Some(routes.version), routes: RouteTable::new(entries) }
    }

    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Neither control nor a file has said anything yet.
    pub(crate) fn is_unknown(&self) -> bool {
        self.version.is_none()
    }

    pub(crate) fn find(&self, host: &Host) -> Option<&Route> {
        self.routes.find(host)
    }

    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }
}

/// The header value of a route's key; None if it has none that could be one.
pub(crate) fn key_header(route: &Route) -> Option<HeaderValue> {
    route.router_key.as_deref().and_then(|key| HeaderValue::from_str(key).ok())
}

/// What the router shares of its table with every request.
pub(crate) type Tables = tokio::sync::watch::Receiver<Arc<Table>>;

/// The last good table. Ok(None): there is no file yet.
pub(crate) fn load(path: &Path) -> Result<Option<Table>, TableError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TableError::Read { path: path.to_owned(), source }),
    };
    let routes: Routes = serde_json::from_slice(&text)
        .map_err(|source| TableError::Understand { path: path.to_owned(), source })?;
    Ok(Some(Table::new(routes)))
}

/// Puts the table into its file, whole or not at all. Only its owner can read
/// the file: it holds the router keys.
pub(crate) fn save(path: &Path, routes: &Routes) -> Result<(), TableError> {
    let write = || {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        // One left over may have another mode, which opening would keep.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(routes)?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| TableError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use model::TenantId;
    use model::tenant::{Serving, TenantState};
    use protocol::internal::RouteEntry;

    use super::*;

    fn routes(version: &str, host: &str) -> Routes {
        let entry = RouteEntry {
            host: host.into(),
            tenant: TenantId::new(),
            name: "acme".into(),
            state: TenantState::Active,
            serving: Serving::Serving,
            http: Some("127.0.0.1:1".into()),
            gevent: None,
            router_key: Some("secret".into()),
        };
        Routes { version: version.into(), routes: vec![entry] }
    }

    #[test]
    fn a_table_survives_in_its_file_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        assert!(load(&path).unwrap().is_none());
        let leftover = folder.path().join("routes.json.new");
        fs::write(&leftover, "half").unwrap();
        fs::set_permissions(&leftover, fs::Permissions::from_mode(0o644)).unwrap();
        for version in ["1", "2"] {
            save(&path, &routes(version, "acme.localhost")).unwrap();
            let table = load(&path).unwrap().unwrap();
            assert_eq!(table.version(), Some(version));
            let route = table.find(&"ACME.localhost".parse().unwrap()).unwrap();
            assert_eq!(route.router_key.as_deref(), Some("secret"));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        for damaged in ["", "{", "{\"version\":\"1\"}", "\0\0\0"] {
            fs::write(&path, damaged).unwrap();
            let error = load(&path).unwrap_err();
            assert!(error.to_string().contains("routes.json"), "{error}");
        }
    }
}

//! The console's files, in the binary. Their addresses carry a hash of what is
//! in them, so that browsers may keep them for good.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::extract::Path;
use crate::failure::{Answer, Failure};

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    version: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |name, kind, bytes: &'static [u8]| Asset {
        name,
        kind,
        bytes,
        version: hex::encode(&Sha256::digest(bytes)[..6]),
    };
    vec![
        asset("console.css", "text/css; charset=utf-8", include_bytes!("../../assets/console.css")),
        asset("console.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/console.js")),
        asset("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/htmx.min.js")),
        asset("heddle.svg", "image/svg+xml", include_bytes!("../../assets/heddle.svg")),
    ]
});

fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The address of a file, for templates.
pub(crate) fn url(name: &str) -> String {
    let asset = find(name).expect("templates name only files of the table");
    format!("/assets/{name}?v={}", asset.version)
}

pub(crate) async fn get(Path(file): Path<String>, RawQuery(query): RawQuery) -> Answer<Response> {
    let asset = find(&file).ok_or_else(|| Failure::not_found(format!("there is no file {file}")))?;
    // An old page's address must not pin the new file under the old hash.
    let current = query.is_some_and(|query| query == format!("v={}", asset.version));
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(([(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, keep)], asset.bytes).into_response())
}

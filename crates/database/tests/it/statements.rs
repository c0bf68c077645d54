//! Each query can be prepared, by control's role, against the migrated schema.

use std::fs;
use std::path::{Path, PathBuf};

use crate::scratch::Scratch;

#[tokio::test]
async fn every_query_can_be_prepared() {
    let scratch = Scratch::new().await;
    let control = scratch.control().await;
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("queries"));
    assert!(files.len() > 80, "{} files found", files.len());
    for file in files {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with("schema/applied.sql") {
            // Only the owner writes the ledger.
            continue;
        }
        let sql = fs::read_to_string(&file).unwrap();
        if let Err(error) = control.prepare(&sql).await {
            panic!("{name}: {error:?}");
        }
    }
}

/// Every query file is used: its name stands in a `query!`.
#[test]
fn every_query_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source: String =
        files(&root.join("src")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for file in files(&root.join("queries")) {
        let name = file.strip_prefix(root.join("queries")).unwrap().with_extension("");
        assert!(source.contains(&format!("query!(\"{}\")", name.display())), "{} is unused", name.display());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

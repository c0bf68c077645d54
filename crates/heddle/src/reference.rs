//! Pages under `docs/reference` that are written from the code.

/// Compares a page with what the code says; `UPDATE=1` writes it instead.
pub fn compare(page: &str, text: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/").to_owned() + page;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference")).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/reference/{page} is stale; run `UPDATE=1 cargo test -p heddle`");
}

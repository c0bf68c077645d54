//! Rules about where things may stand, checked on the sources.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// Which crates of the workspace a crate may use. What is not listed here may
/// use nothing; `heddle`, the tests and this program may use everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("daemon", &[]),
    ("database", &["model"]),
    ("protocol", &["model"]),
    ("control", &["model", "database", "protocol", "daemon"]),
    ("web", &["model", "control", "protocol", "daemon"]),
    ("postgres", &["model", "daemon"]),
    ("odoo", &["model", "daemon"]),
    ("runtime", &["model", "daemon"]),
    ("archive", &["model", "postgres", "daemon"]),
    ("copies", &["model", "postgres", "odoo", "daemon"]),
    ("worker", &["model", "protocol", "archive", "postgres", "odoo", "runtime", "daemon"]),
    ("router", &["model", "protocol", "daemon"]),
];

/// Composition roots: they may use every crate, and no crate may use them.
const ROOTS: &[&str] = &["heddle", "walk", "xtask"];

/// The crates that may speak SQL.
const SQL: &[&str] = &["database", "postgres", "archive", "copies", "worker"];

/// Names that say nothing of what is inside.
const REFUSED_CRATES: &[&str] = &["common", "utils", "util", "core", "helpers", "misc", "shared"];

/// What the plumbing of processes must know nothing of.
const DOMAIN_NOUNS: &[&str] = &[
    "tenant",
    "odoo",
    "postgres",
    "snapshot",
    "restore",
    "lineage",
    "backup",
    "filestore",
    "environment_id",
    "subdomain",
];

/// A longer file is asked what two things it is.
const LONG_FILE: usize = 600;

#[derive(Debug, Default)]
pub struct Report {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    pub files: usize,
    pub crates: usize,
}

/// A crate of the workspace, as its Cargo.toml describes it.
#[derive(Debug)]
struct Member {
    name: String,
    /// What it uses outside its tests.
    dependencies: Vec<String>,
    test_dependencies: Vec<String>,
}

/// A source file, by the crate it is in.
struct Source<'a> {
    member: &'a str,
    path: &'a str,
    text: &'a str,
    /// Under a `tests` folder: it may use what its crate may not.
    test: bool,
}

pub fn check(root: &Path) -> Result<Report> {
    let mut report = Report::default();
    let mut members = Vec::new();
    for manifest in manifests(root)? {
        let text =
            std::fs::read_to_string(&manifest).with_context(|| format!("read {}", manifest.display()))?;
        let member = member(&text).with_context(|| format!("understand {}", manifest.display()))?;
        let folder = manifest.parent().expect("a manifest lies in a folder").to_owned();
        members.push((folder, member));
    }
    report.crates = members.len();
    let all: Vec<_> = members.iter().map(|(_, member)| member).collect();
    report.errors.extend(arrows(&all));
    for (folder, member) in &members {
        for entry in WalkDir::new(folder).sort_by_file_name() {
            let entry = entry.context("walk the sources")?;
            if entry.path().extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path())
                .with_context(|| format!("read {}", entry.path().display()))?;
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).display().to_string();
            let test = entry.path().strip_prefix(folder).is_ok_and(|inner| inner.starts_with("tests"));
            report.files += 1;
            let source = Source { member: &member.name, path: &path, text: &text, test };
            report.errors.extend(misplaced(&source));
            report.warnings.extend(long(&source));
        }
    }
    Ok(report)
}

fn manifests(root: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = vec![root.join("tests/Cargo.toml"), root.join("xtask/Cargo.toml")];
    for entry in std::fs::read_dir(root.join("crates")).context("list the crates")? {
        let manifest = entry.context("list the crates")?.path().join("Cargo.toml");
        if manifest.exists() {
            found.push(manifest);
        }
    }
    found.sort();
    Ok(found)
}

fn member(manifest: &str) -> Result<Member> {
    let manifest: toml::Table = manifest.parse()?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name")?.as_str())
        .context("it has no package name")?;
    let keys = |section: &str| -> Vec<String> {
        manifest
            .get(section)
            .and_then(toml::Value::as_table)
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    };
    let mut dependencies = keys("dependencies");
    dependencies.extend(keys("build-dependencies"));
    Ok(Member { name: name.to_owned(), dependencies, test_dependencies: keys("dev-dependencies") })
}

fn arrows(members: &[&Member]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let is_member = |name: &str| members.iter().any(|member| member.name == name);
    let mut errors = Vec::new();
    for member in members {
        let name = member.name.as_str();
        if REFUSED_CRATES.contains(&name) {
            errors.push(format!("the crate `{name}` is named after nothing; say what it is about"));
        }
        let inner = member.dependencies.iter().filter(|dependency| is_member(dependency));
        let inner_tests = member.test_dependencies.iter().filter(|dependency| is_member(dependency));
        for dependency in inner.clone().chain(inner_tests) {
            if ROOTS.contains(&dependency.as_str()) {
                errors.push(format!("`{name}` uses `{dependency}`, which only composes the others"));
            }
        }
        if ROOTS.contains(&name) {
            continue;
        }
        let Some(may) = allowed.get(name) else {
            errors.push(format!("the crate `{name}` has no row in the table of arrows"));
            continue;
        };
        for dependency in inner {
            if !may.contains(&dependency.as_str()) {
                errors.push(format!("`{name}` may not use `{dependency}`"));
            }
        }
        if !SQL.contains(&name) && member.dependencies.iter().any(|one| one == "tokio-postgres") {
            errors.push(format!("`{name}` may not speak SQL: remove tokio-postgres"));
        }
    }
    errors
}

fn misplaced(source: &Source) -> Vec<String> {
    let mut errors = Vec::new();
    let speaks_sql = SQL.contains(&source.member) || ROOTS.contains(&source.member) || source.test;
    for (index, line) in source.text.lines().enumerate() {
        let place = || format!("{}:{}", source.path, index + 1);
        if !speaks_sql && line.contains("tokio_postgres::") {
            errors.push(format!("{}: only {} may speak SQL", place(), SQL.join(", ")));
        }
        if source.member == "daemon" {
            let lower = line.to_ascii_lowercase();
            for noun in DOMAIN_NOUNS.iter().filter(|noun| lower.contains(**noun)) {
                errors.push(format!("{}: `daemon` is plumbing and may not know of `{noun}`", place()));
            }
        }
    }
    errors
}

fn long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LONG_FILE).then(|| format!("{} has {lines} lines: which two things is it?", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_using(name: &str, dependencies: &[&str]) -> Member {
        let list = dependencies.iter().map(|one| format!("{one}.workspace = true\n")).collect::<String>();
        member(&format!("[package]\nname = {name:?}\n[dependencies]\n{list}")).unwrap()
    }

    fn broken(members: &[Member]) -> Vec<String> {
        arrows(&members.iter().collect::<Vec<_>>())
    }

    #[test]
    fn arrows_point_one_way() {
        let model = crate_using("model", &["serde"]);
        let router = crate_using("router", &["model", "hyper"]);
        assert_eq!(broken(&[model, router]), Vec::<String>::new());

        let database = crate_using("database", &[]);
        let web = crate_using("web", &["database"]);
        assert_eq!(broken(&[database, web]), ["`web` may not use `database`"]);

        let model = crate_using("model", &["daemon"]);
        let daemon = crate_using("daemon", &[]);
        assert_eq!(broken(&[model, daemon]), ["`model` may not use `daemon`"]);
    }

    #[test]
    fn roots_are_used_by_nobody() {
        let heddle = crate_using("heddle", &["model"]);
        let model = crate_using("model", &["heddle"]);
        assert_eq!(broken(&[heddle, model]).len(), 2);
    }

    #[test]
    fn crates_are_named_and_listed() {
        assert_eq!(broken(&[crate_using("utils", &[])]).len(), 2);
        assert_eq!(
            broken(&[crate_using("billing", &[])]),
            ["the crate `billing` has no row in the table of arrows"]
        );
    }

    #[test]
    fn sql_stays_where_it_belongs() {
        assert_eq!(broken(&[crate_using("web", &["tokio-postgres"])]).len(), 1);
        let text = "use tokio_postgres::Client;\n";
        let source = |member, test| Source { member, path: "a.rs", text, test };
        assert_eq!(misplaced(&source("router", false)).len(), 1);
        assert!(misplaced(&source("router", true)).is_empty());
        assert!(misplaced(&source("database", false)).is_empty());
    }

    #[test]
    fn daemon_knows_no_domain() {
        let source = |member| Source { member, path: "a.rs", text: "// stops the Tenant\n", test: false };
        assert_eq!(
            misplaced(&source("daemon")),
            ["a.rs:1: `daemon` is plumbing and may not know of `tenant`"]
        );
        assert!(misplaced(&source("worker")).is_empty());
    }

    #[test]
    fn long_files_are_asked_about() {
        let text = "\n".repeat(601);
        assert!(long(&Source { member: "web", path: "a.rs", text: &text, test: false }).is_some());
    }

    #[test]
    fn this_workspace_is_tidy() {
        let report = check(crate::root()).unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
        assert!(report.crates >= 10 && report.files >= 30, "{report:?}");
    }
}

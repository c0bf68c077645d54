//! The binary as a person or PostgreSQL runs it, with nothing behind it.

use std::process::{Command, Output};

fn heddle(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEDDLE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_inputs_say_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().to_str().unwrap();

    let output = heddle(&["restore", "acme", "--at", "yesterday"]);
    assert_eq!(code(&output), 2);
    assert!(errors(&output).contains("so long before now"), "{}", errors(&output));

    let output = heddle(&["--data", data, "tenant", "list"]);
    assert_eq!(code(&output), 7);
    let text = errors(&output);
    assert!(text.starts_with("error: there is no API key: ") && text.contains("\nhint: "), "{text}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
    let output = command
        .args(["--url", "http://127.0.0.1:1", "status"])
        .env("HEDDLE_API_KEY", "hk_a_b")
        .env("HEDDLE_DATA", data)
        .output()
        .unwrap();
    assert_eq!(code(&output), 4);
    let text = errors(&output);
    assert!(text.contains("control does not answer at http://127.0.0.1:1"), "{text}");
    assert!(text.contains("hint: start it with `heddle up`"), "{text}");
}

#[test]
fn errors_are_json_when_asked_for() {
    let output = heddle(&["--json", "env", "create", "demo"]);
    assert_eq!(code(&output), 2);
    assert!(output.stdout.is_empty());
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "usage");
    assert!(error["error"]["detail"].as_str().unwrap().contains("demo/production"), "{error}");
}

#[test]
fn results_are_json_when_asked_for() {
    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().to_str().unwrap();
    let output = heddle(&["settings", "--json", "--data", data]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["setting"], "data");
    assert_eq!(rows[0]["from"], "flag");

    let output = heddle(&["doctor", "--json", "--data", data]);
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = checks.as_array().unwrap().iter().filter(|check| check["state"] == "problem").count();
    assert_eq!(code(&output), i32::from(problems > 0));
    assert!(checks.as_array().unwrap().iter().any(|check| check["name"] == "PostgreSQL"));
}

/// PostgreSQL reads 1 to 125 as "not in the archive": nothing else may end so.
#[test]
fn a_fetch_that_cannot_tell_breaks_recovery_off() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no.sock");
    let nowhere = nowhere.to_str().unwrap();
    let target = folder.path().join("wal");
    let fetch = ["wal", "fetch", "--socket", nowhere, "000000010000000000000003", target.to_str().unwrap()];
    let output = heddle(&fetch);
    assert_eq!(code(&output), 126);
    assert!(errors(&output).contains("is the worker running?"), "{}", errors(&output));
    assert_eq!(code(&heddle(&["wal", "fetch", "--nonsense"])), 126);
    assert!(!target.exists());

    let file = folder.path().join("000000010000000000000003");
    std::fs::write(&file, "x").unwrap();
    let output = heddle(&["wal", "push", "--socket", nowhere, file.to_str().unwrap()]);
    assert_eq!(code(&output), 1);
}

#[test]
fn a_shim_without_a_folder_is_a_usage_error() {
    assert_eq!(code(&heddle(&["shim"])), 2);
}

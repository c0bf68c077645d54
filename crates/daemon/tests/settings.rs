//! Settings as a program sees them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::settings::{Setting, Settings, SettingsError, Source, Sources};

static TABLE: &[Setting] = &[
    Setting::new("data", "HEDDLE_DATA", "Where everything is kept.").default("/var/lib/heddle"),
    Setting::new("grace", "HEDDLE_GRACE", "How long to wait at the end.").default("30s"),
    Setting::new("http.port", "HEDDLE_HTTP_PORT", "The port visitors come to.").default("8080"),
    Setting::new("http.listen", "HEDDLE_HTTP_LISTEN", "The address to listen on."),
    Setting::new("http.key", "HEDDLE_HTTP_KEY", "What visitors have to know.").secret(),
    Setting::new("names", "HEDDLE_NAMES", "Some names, with commas."),
];

struct Scratch {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heddle.toml");
    fs::write(&path, text).unwrap();
    Scratch { _folder: folder, path }
}

fn load(
    file: Option<&Scratch>,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Settings, SettingsError> {
    Settings::load(
        TABLE,
        Sources {
            file: file.map(|file| file.path.clone()),
            file_must_exist: true,
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            flags: flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        },
    )
}

#[test]
fn the_nearest_source_wins_and_is_remembered() {
    let file = file(
        "data = '/from/file'\ngrace = '1m'\nnames = ['a', 'b']\n[http]\nport = 1\nlisten = '[::1]:80'\n",
    );
    let env = [("HEDDLE_HTTP_PORT", "2"), ("HEDDLE_GRACE", "2m"), ("HEDDLE_DATA", ""), ("PATH", "/bin")];
    let settings = load(Some(&file), &env, &[("http.port", "3")]).unwrap();
    let from_file = Source::File(file.path.clone());
    assert_eq!(settings.get::<u16>("http.port").unwrap(), 3);
    assert_eq!(settings.source("http.port"), Some(&Source::Flag));
    assert_eq!(settings.get::<Duration>("grace").unwrap(), Duration::from_secs(120));
    assert_eq!(settings.source("grace").unwrap().to_string(), "env HEDDLE_GRACE");
    // Nothing in it: not given.
    assert_eq!(settings.get::<PathBuf>("data").unwrap(), PathBuf::from("/from/file"));
    assert_eq!(settings.source("data"), Some(&from_file));
    assert_eq!(settings.source("data").unwrap().to_string(), format!("file {}", file.path.display()));
    assert_eq!(settings.get::<SocketAddr>("http.listen").unwrap(), "[::1]:80".parse().unwrap());
    assert_eq!(settings.get::<String>("names").unwrap(), "a,b");
    assert_eq!(settings.find::<String>("http.key").unwrap(), None);

    let settings = load(None, &[], &[]).unwrap();
    assert_eq!(settings.get::<u16>("http.port").unwrap(), 8080);
    assert_eq!(settings.source("http.port").unwrap().to_string(), "default");
}

#[test]
fn unknown_keys_are_refused_with_the_closest() {
    for (text, message) in [
        ("prot = 1", None),
        ("dta = 'x'", Some("there is no setting `dta`; did you mean `data`?")),
        ("[http]\nprot = 1", Some("there is no setting `http.prot`; did you mean `http.port`?")),
        ("[htpp]\nport = 1", Some("there is no setting `htpp`")),
        ("[data]\nx = 1\n", None),
        ("quite_different = 1", Some("there is no setting `quite_different`")),
    ] {
        let scratch = file(text);
        match (load(Some(&scratch), &[], &[]), message) {
            (Err(error), Some(message)) => {
                assert_eq!(error.to_string(), format!("settings file {:?}: {message}", scratch.path));
            }
            (Err(SettingsError::Unknown { .. }), None) => {}
            // A table where text is expected is a value of the wrong shape.
            (Ok(settings), None) => assert!(settings.get::<u16>("data").is_err()),
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
    let error = load(None, &[], &[("http.prot", "1")]).unwrap_err();
    assert_eq!(error.to_string(), "there is no setting `http.prot`; did you mean `http.port`?");
}

#[test]
fn a_bad_value_says_what_where_and_what_is_expected() {
    let settings = load(None, &[("HEDDLE_HTTP_PORT", "70000"), ("HEDDLE_HTTP_KEY", "hunter2")], &[]).unwrap();
    let error = settings.get::<u16>("http.port").unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `http.port` (env HEDDLE_HTTP_PORT): \"70000\" is not a whole number from 0 to 65535"
    );
    let error = settings.get::<u16>("http.key").unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `http.key` (env HEDDLE_HTTP_KEY): (secret) is not a whole number from 0 to 65535"
    );
    let error = settings.get::<SocketAddr>("http.listen").unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `http.listen` is not set; give it as HEDDLE_HTTP_LISTEN or in the settings file"
    );
    assert!(matches!(settings.get::<u16>("nonsense"), Err(SettingsError::Undeclared { .. })));
}

#[test]
fn secrets_are_never_shown() {
    let scratch = file("[http]\nkey = 'hunter2'\n");
    let settings = load(Some(&scratch), &[], &[]).unwrap();
    assert_eq!(settings.get::<String>("http.key").unwrap(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let rows = settings.rows();
    assert_eq!(rows.len(), TABLE.len());
    let key = rows.iter().find(|row| row.setting.key == "http.key").unwrap();
    assert_eq!(key.value.as_deref(), Some("(secret)"));
    let unset = rows.iter().find(|row| row.setting.key == "names").unwrap();
    assert_eq!((&unset.value, &unset.source), (&None, &None));

    // Nor in an error about the line it stands in.
    let broken = file("data = '/x'\n[http]\nkey = hunter2\n");
    let error = load(Some(&broken), &[], &[]).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("line 3") && !text.contains("hunter2"), "{text}");
}

#[test]
fn only_a_named_file_has_to_exist() {
    let sources =
        |must| Sources { file: Some("/no/such/file".into()), file_must_exist: must, ..Sources::default() };
    Settings::load(TABLE, sources(false)).unwrap();
    assert!(matches!(Settings::load(TABLE, sources(true)), Err(SettingsError::Read { .. })));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let env = vec![("HEDDLE_DATA".into(), std::ffi::OsString::from_vec(vec![0xff]))];
    let error = Settings::load(TABLE, Sources { env, ..Sources::default() }).unwrap_err();
    assert_eq!(error.to_string(), "environment variable HEDDLE_DATA is not valid UTF-8");
}

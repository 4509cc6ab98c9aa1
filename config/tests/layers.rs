//! The layers: which one wins, which origins are recorded, and what is printed.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use dormouse_config::{Error, Loaded, LogFormat, LogLevel, Origin, Sources, load};

/// A file that is removed when the test ends.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn containing(name: &str, text: &str) -> Self {
        let path = env::temp_dir().join(format!("dormouse-config-{}-{name}.toml", process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources { environment: variables.iter().map(own).collect(), ..Sources::default() }
}

fn set(assignments: &[&str]) -> Sources {
    let own = |text: &&str| (*text).to_owned();
    Sources { overrides: assignments.iter().map(own).collect(), ..Sources::default() }
}

fn origin(loaded: &Loaded, key: &str) -> String {
    loaded.origin(key).unwrap().to_string()
}

#[test]
fn later_layers_win_and_every_value_knows_its_origin() {
    let file = ConfigFile::containing(
        "order",
        "[log]\nlevel = 'warn'\nformat = 'json'\n\n[runtime]\nshards = 2\n\n[gateway]\npage_size = 2\n",
    );
    let sources = Sources {
        profile: Some("development".into()),
        file: Some(file.path().to_owned()),
        environment: vec![
            ("DORMOUSE__RUNTIME__SHARDS".into(), "3".into()),
            ("DORMOUSE__GATEWAY__PAGE_SIZE".into(), "3".into()),
        ],
        overrides: vec!["gateway.page_size=4".into(), "gateway.page_size = 5".into()],
    };

    let loaded = load(&sources).unwrap();

    let path = file.path().display();
    assert_eq!(loaded.config.gateway.page_size_max.get(), 1000);
    assert_eq!(origin(&loaded, "gateway.page_size_max"), "default");
    assert_eq!(loaded.config.gateway.drain_timeout.as_secs(), 1);
    assert_eq!(origin(&loaded, "gateway.drain_timeout"), "profile development");
    assert_eq!(loaded.config.log.level, LogLevel::Warn);
    assert_eq!(origin(&loaded, "log.level"), format!("file {path}:2"));
    assert_eq!(loaded.config.log.format, LogFormat::Json);
    assert_eq!(origin(&loaded, "log.format"), format!("file {path}:3"));
    assert_eq!(loaded.config.runtime.shards.get(), 3);
    assert_eq!(origin(&loaded, "runtime.shards"), "environment DORMOUSE__RUNTIME__SHARDS");
    assert_eq!(loaded.config.gateway.page_size.get(), 5);
    assert_eq!(loaded.origin("gateway.page_size"), Some(&Origin::Override));
    assert_eq!(loaded.origin("gateway.nothing"), None);
}

#[test]
fn the_environment_reaches_nested_sections() {
    let loaded = load(&environment(&[("DORMOUSE__JOURNAL__POSTGRES__CONNECTIONS_MAX", "50")])).unwrap();
    assert_eq!(loaded.config.journal.postgres.connections_max.get(), 50);
    assert_eq!(
        origin(&loaded, "journal.postgres.connections_max"),
        "environment DORMOUSE__JOURNAL__POSTGRES__CONNECTIONS_MAX"
    );
}

#[test]
fn the_environment_is_read_as_toml_where_it_is_toml_and_as_text_otherwise() {
    let config = load(&environment(&[
        ("DORMOUSE__GATEWAY__ALLOW_UNAUTHENTICATED", "true"),
        ("DORMOUSE__GATEWAY__LISTEN", "[::]:80"),
        ("DORMOUSE__GATEWAY__MAX_BODY", "2 MiB"),
        ("DORMOUSE__COMMANDS__TIMEOUT", "\"5s\""),
        ("DORMOUSE__JOURNAL__URL", "memory:"),
        ("DORMOUSE__LOG", "{ level = \"error\", format = \"text\" }"),
    ]))
    .unwrap()
    .config;
    assert!(config.gateway.allow_unauthenticated);
    assert_eq!(config.gateway.listen.to_string(), "[::]:80");
    assert_eq!(config.gateway.max_body.as_u64(), 2 << 20);
    assert_eq!(config.commands.timeout.as_secs(), 5);
    assert_eq!(config.journal.url.to_string(), "memory:");
    assert_eq!((config.log.level, config.log.format), (LogLevel::Error, LogFormat::Text));
}

#[test]
fn variables_that_are_not_configuration_are_ignored() {
    // Kubernetes sets such variables in pods beside a service called `dormouse`.
    let sources = environment(&[("DORMOUSE_PORT", "tcp://10.0.0.1:80"), ("PATH", "/bin"), ("dormouse__x", "1")]);
    assert_eq!(load(&sources).unwrap().rows().filter(|row| row.origin != Origin::Default).count(), 0);
}

#[test]
fn the_process_is_read_through_sources() {
    let sources = Sources::from_process(Some("production".into()), None, vec!["log.format=text".into()]).unwrap();
    assert_eq!(sources.profile.as_deref(), Some("production"));
    assert!(sources.environment.iter().all(|(name, _)| name.starts_with("DORMOUSE__")));
}

#[test]
fn a_set_value_may_contain_equal_signs() {
    let loaded = load(&set(&["journal.url=postgres://db/x?application_name=y"])).unwrap();
    assert_eq!(loaded.config.journal.url.postgres_url(), Some("postgres://db/x?application_name=y"));
}

#[test]
fn the_printed_configuration_masks_secrets_and_names_origins() {
    let loaded = load(&set(&["journal.url=postgres://app:hunter2@db/x"])).unwrap();
    let printed = loaded.to_toml();
    assert!(printed.contains("\n[journal]\nurl = \"postgres://app:***@db/x\" # --set\n"), "{printed}");
    assert!(printed.contains("\n[gateway]\nlisten = \"127.0.0.1:8080\" # default\n"), "{printed}");
    assert!(!printed.contains("hunter2"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!format!("{:?}", loaded.rows().collect::<Vec<_>>()).contains("hunter2"));
    assert_eq!(loaded.config.journal.url.postgres_url(), Some("postgres://app:hunter2@db/x"));
}

#[test]
fn the_printed_configuration_loads_again_to_the_same_one() {
    let sources = Sources { profile: Some("enterprise".into()), ..set(&["commands.slow_after=1500us"]) };
    let first = load(&sources).unwrap();
    let file = ConfigFile::containing("again", &first.to_toml());
    let second = load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap();
    assert_eq!(first.config, second.config);
    let count = first.rows().count();
    assert!(second.rows().filter(|row| matches!(row.origin, Origin::File { .. })).count() == count);
}

#[test]
fn rows_serialize_for_other_printers() {
    let row = load(&set(&["runtime.shards=8"])).unwrap().rows().find(|row| row.key == "runtime.shards").unwrap();
    let row = toml::Table::try_from(&row).unwrap();
    assert_eq!(row.to_string(), "key = \"runtime.shards\"\norigin = \"--set\"\nvalue = 8\n");
}

#[test]
fn a_value_that_a_later_layer_replaces_need_not_be_valid() {
    let sources =
        Sources { overrides: vec!["runtime.shards=8".into()], ..environment(&[("DORMOUSE__RUNTIME__SHARDS", "many")]) };
    assert_eq!(load(&sources).unwrap().config.runtime.shards.get(), 8);
}

#[test]
fn a_missing_file_is_an_error() {
    let sources = Sources { file: Some("/nowhere/dormouse.toml".into()), ..Sources::default() };
    let error = load(&sources).unwrap_err();
    assert!(matches!(error, Error::File { .. }));
    assert!(error.to_string().starts_with("cannot read the configuration file /nowhere/dormouse.toml: "), "{error}");
}

//! The default file and the profiles: complete, documented, loadable.

use std::collections::BTreeSet;

use dormouse_config::{Config, DEFAULT_TOML, Origin, Sources, load, profiles};
use toml::{Table, Value};

/// Every leaf of a table, as `section.key`.
fn keys(table: &Table) -> BTreeSet<String> {
    fn collect(section: &str, table: &Table, into: &mut BTreeSet<String>) {
        for (part, value) in table {
            let key = if section.is_empty() { part.clone() } else { format!("{section}.{part}") };
            match value {
                Value::Table(inner) => collect(&key, inner, into),
                _ => {
                    into.insert(key);
                }
            }
        }
    }
    let mut into = BTreeSet::new();
    collect("", table, &mut into);
    into
}

#[test]
fn every_field_is_in_the_default_file_and_vice_versa() {
    let fields = keys(&Table::try_from(Config::embedded()).unwrap());
    let documented = keys(&DEFAULT_TOML.parse().unwrap());
    assert_eq!(fields, documented);
}

#[test]
fn every_key_and_section_of_the_default_file_has_a_comment_above_it() {
    let lines: Vec<_> = DEFAULT_TOML.lines().collect();
    for pair in lines.windows(2) {
        let is_key = !pair[1].is_empty() && !pair[1].starts_with('#');
        assert!(!is_key || pair[0].starts_with('#'), "`{}` has no comment above it", pair[1]);
    }
}

#[test]
fn the_default_file_fits_a_screen_in_width() {
    for line in DEFAULT_TOML.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn the_documented_defaults_are_in_force() {
    let config = Config::embedded();
    config.validate().unwrap();
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.journal.url.to_string(), "sqlite://./data");
    assert_eq!(config.journal.event_size_max.as_u64(), 1 << 20);
    assert_eq!(config.views.url.to_string(), "journal");
    assert_eq!((config.projections.workers.get(), config.projections.parallelism.get()), (5, 10));
    assert_eq!(config.passivation.idle_after.as_secs(), 172_800);
    assert_eq!(config.snapshots.max_age.as_secs(), 90 * 86_400);
    assert_eq!(
        (config.cache.ttl.as_secs(), config.cache.entries.get(), config.cache.size.as_u64()),
        (1800, 5000, 512 << 20)
    );
    assert_eq!(config, load(&Sources::default()).unwrap().config);
}

#[test]
fn every_duration_has_a_longest_value() {
    let with = |key: &str, value: &str| {
        load(&Sources { overrides: vec![format!("{key}={value}")], ..Sources::default() }).map_err(|e| e.to_string())
    };
    let loaded = load(&Sources::default()).unwrap();
    let is_duration = |value: &Value| value.as_str().is_some_and(|text| humantime::parse_duration(text).is_ok());
    let keys: Vec<_> = loaded.rows().filter(|row| is_duration(&row.value)).map(|row| row.key.to_owned()).collect();
    assert!(keys.iter().any(|key| key == "gateway.drain_timeout"), "{keys:?}");
    for key in keys {
        for value in ["3651d", "200000000000000d"] {
            let refused = with(&key, value).unwrap_err();
            assert_eq!(refused, format!("--set: {key} = \"{value}\" is refused, expected at most 3650d"));
        }
    }
    with("gateway.drain_timeout", "3650d").unwrap();
}

#[test]
fn every_profile_loads_and_changes_something() {
    for name in profiles() {
        let sources = Sources { profile: Some(name.to_owned()), ..Sources::default() };
        let loaded = load(&sources).unwrap();
        assert_ne!(loaded.config, Config::embedded(), "{name}");
        for row in loaded.rows().filter(|row| row.origin != Origin::Default) {
            assert_eq!(row.origin, Origin::Profile(name.to_owned()));
        }
    }
    assert_eq!(profiles().collect::<Vec<_>>(), ["development", "production", "enterprise"]);
}

#[test]
fn no_profile_repeats_a_default() {
    for name in profiles() {
        let sources = Sources { profile: Some(name.to_owned()), ..Sources::default() };
        let defaults = load(&Sources::default()).unwrap();
        for (row, default) in load(&sources).unwrap().rows().zip(defaults.rows()) {
            assert!(row.origin == default.origin || row.value != default.value, "{name}: {}", row.key);
        }
    }
}

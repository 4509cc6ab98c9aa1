//! Changes to a configuration while a server runs.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::known_keys::join;
use crate::layers::{Layers, insert};
use crate::{Config, Error};

/// A key that can be changed while a server runs, and a function that copies its value from one configuration to
/// another.
type Live = (&'static str, fn(&mut Config, &Config));

/// All other keys are read when a server starts. If you add a key here, make its component take the new value
/// (`gateway/src/http/admin/config.rs`).
const LIVE: [Live; 8] = [
    ("cache.enabled", |config, after| config.cache.enabled = after.cache.enabled),
    ("cache.ttl", |config, after| config.cache.ttl = after.cache.ttl),
    ("cache.entries", |config, after| config.cache.entries = after.cache.entries),
    ("cache.size", |config, after| config.cache.size = after.cache.size),
    ("listeners.paused", |config, after| config.listeners.paused.clone_from(&after.listeners.paused)),
    ("listeners.disabled", |config, after| config.listeners.disabled.clone_from(&after.listeners.disabled)),
    ("projections.workers", |config, after| config.projections.workers = after.projections.workers),
    ("projections.parallelism", |config, after| config.projections.parallelism = after.projections.parallelism),
];

/// Values to change, in sections as in a file. They are not checked before [`Config::changed`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(Table);

impl Changes {
    /// Reads assignments as `--set` takes them: `cache.entries=9000`.
    ///
    /// # Errors
    /// The first assignment that has no key and value, or whose key is unknown.
    pub fn assigned<S: AsRef<str>>(assignments: &[S]) -> Result<Self, Error> {
        let mut table = Table::new();
        for text in assignments {
            let (key, value) = Layers::change(text.as_ref())?;
            insert(&mut table, &key, value);
        }
        Ok(Self(table))
    }

    /// The keys that are to be changed, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        collect("", &self.0, &mut keys);
        keys
    }
}

fn collect(section: &str, table: &Table, keys: &mut Vec<String>) {
    for (part, value) in table {
        let key = join(section, part);
        match value {
            Value::Table(table) => collect(&key, table, keys),
            _ => keys.push(key),
        }
    }
}

impl Config {
    /// The keys that can be changed while a server runs.
    pub fn live_keys() -> impl Iterator<Item = &'static str> {
        LIVE.iter().map(|(key, _)| *key)
    }

    /// This configuration with changes, checked as a whole. Only [live keys](Self::live_keys) can be changed.
    ///
    /// # Errors
    /// The first value that is refused, or the first key that is not live.
    pub fn changed(&self, changes: &Changes) -> Result<Self, Error> {
        let mut layers = Layers::of(self);
        layers.changes(changes.0.clone())?;
        if let Some(key) = changes.keys().into_iter().find(|key| Self::live_keys().all(|live| live != key)) {
            return Err(Error::NotLive { key, live: Self::live_keys().collect::<Vec<_>>().join(", ") });
        }
        // The layers mask secrets, so that only the live keys are taken from there.
        let after = layers.finish()?.config;
        let mut config = self.clone();
        for (_, take) in LIVE {
            take(&mut config, &after);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(assignments: &[&str]) -> Result<Config, String> {
        let changes = Changes::assigned(assignments).map_err(|error| error.to_string())?;
        Config::embedded().changed(&changes).map_err(|error| error.to_string())
    }

    #[test]
    fn changed_values_replace_those_in_use() {
        let mut before = Config::embedded();
        before.journal.url = "postgres://app:hunter2@db/app".parse().unwrap();
        let changes = Changes::assigned(&["cache.entries=8", "cache.enabled = false"]).unwrap();
        assert_eq!(changes.keys(), ["cache.enabled", "cache.entries"]);
        let after = before.changed(&changes).unwrap();
        assert_eq!((after.cache.entries.get(), after.cache.enabled), (8, false));
        let mut expected = before.clone();
        expected.cache = after.cache.clone();
        assert_eq!(after, expected, "everything else, secrets too, is unchanged");
    }

    #[test]
    fn every_live_key_is_taken_over() {
        for key in Config::live_keys() {
            let before = Config::embedded();
            let mut layers = Layers::of(&before);
            let value = crate::known_keys::KNOWN_KEYS.default_of(key).unwrap();
            let other = match value {
                Value::Integer(number) => Value::Integer(number + 1),
                Value::Boolean(is_so) => Value::Boolean(!is_so),
                Value::String(text) if text.ends_with('B') => Value::String("7 MiB".to_owned()),
                Value::String(_) => Value::String("7s".to_owned()),
                Value::Array(_) => Value::Array(vec!["handler/some".into()]),
                _ => panic!("{key} = {value}"),
            };
            let mut table = Table::new();
            insert(&mut table, key, other);
            layers.changes(table.clone()).unwrap();
            let expected = layers.finish().unwrap().config;
            assert_ne!(expected, before, "{key}");
            assert_eq!(before.changed(&Changes(table)).unwrap(), expected, "{key}");
        }
    }

    #[test]
    fn a_change_that_is_not_possible_is_refused_in_one_line() {
        for (assignment, line) in [
            ("cache.entries", "`cache.entries` changes nothing, expected section.key=value"),
            ("cache.entry=1", "change: unknown key `cache.entry`, the nearest known key is `cache.entries`"),
            ("cache.entries=0", "change: cache.entries = 0 is refused, expected a whole number from 1"),
            ("cache=1", "change: `cache` is a section, not a value: set one of its keys, such as `cache.enabled`"),
        ] {
            assert_eq!(changed(&[assignment]).unwrap_err(), line);
        }
        let line = changed(&["runtime.shards=2"]).unwrap_err();
        assert!(
            line.starts_with(
                "`runtime.shards` is read when the server starts; what can be changed while it runs: cache.enabled, "
            ),
            "{line}"
        );
        // A valid change is not made if another one is refused.
        assert!(changed(&["cache.entries=7", "runtime.shards=2"]).is_err());
    }
}

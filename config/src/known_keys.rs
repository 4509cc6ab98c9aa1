//! The known keys: those of `default.toml`, which has all of them.

use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::DEFAULT_TOML;

pub(crate) static KNOWN_KEYS: LazyLock<KnownKeys> = LazyLock::new(KnownKeys::read);

/// The known keys with their defaults, in the order of `default.toml`.
pub(crate) struct KnownKeys {
    keys: Vec<(String, Value)>,
}

impl KnownKeys {
    fn read() -> Self {
        let table: Table = DEFAULT_TOML.parse().expect("the embedded default.toml parses");
        let spanned = DeTable::parse(DEFAULT_TOML).expect("the embedded default.toml parses");
        let mut leaves = Vec::new();
        flatten("", &table, spanned.get_ref(), &mut leaves);
        leaves.sort_by_key(|(at, ..)| *at);
        Self { keys: leaves.into_iter().map(|(_, key, value)| (key, value)).collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The default of a key, if there is such a key.
    pub(crate) fn default_of(&self, key: &str) -> Option<&Value> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The first key of a section, if there is such a section. The root is the section `""`.
    pub(crate) fn first_in(&self, section: &str) -> Option<&str> {
        let inside =
            |key: &str| section.is_empty() || key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        self.iter().map(|(key, _)| key).find(|key| inside(key))
    }

    /// The key that is most similar to an unknown one: a misspelling of the whole, or the right last part in the wrong
    /// section.
    pub(crate) fn nearest(&self, unknown: &str) -> &str {
        let likeness = |key: &str| {
            let whole = strsim::normalized_damerau_levenshtein(key, unknown);
            let last = strsim::normalized_damerau_levenshtein(last_part(key), last_part(unknown));
            // Several sections may have a key of this name: then the whole key decides.
            (whole.max(0.7 * last), whole)
        };
        let order = |(one, whole): (f64, f64), (other, other_whole): (f64, f64)| {
            one.total_cmp(&other).then(whole.total_cmp(&other_whole))
        };
        let nearest = self.iter().map(|(key, _)| key).max_by(|a, b| order(likeness(a), likeness(b)));
        nearest.unwrap_or_default()
    }
}

/// `section` and `part`, joined by a dot. A part is quoted where TOML quotes it, so that a dot within it does not
/// separate parts.
pub(crate) fn join(section: &str, part: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let part = if !part.is_empty() && part.chars().all(bare) { part.to_owned() } else { format!("{part:?}") };
    if section.is_empty() { part } else { format!("{section}.{part}") }
}

fn last_part(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

fn flatten(section: &str, table: &Table, spanned: &DeTable<'_>, leaves: &mut Vec<(usize, String, Value)>) {
    for (part, value) in spanned {
        let key = join(section, part.get_ref());
        match (&table[part.get_ref().as_ref()], value.get_ref()) {
            // An empty table has names of the operator's choice: it is one value.
            (Value::Table(table), DeValue::Table(spanned)) if !table.is_empty() => {
                flatten(&key, table, spanned, leaves)
            }
            (value, _) => leaves.push((Spanned::span(part).start, key, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_the_order_of_the_file() {
        let keys: Vec<_> = KNOWN_KEYS.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.first(), Some(&"modules.enabled"));
        assert_eq!(keys.last(), Some(&"log.format"));
        let position = |key| keys.iter().position(|known| *known == key).unwrap();
        assert!(position("journal.event_size_max") < position("journal.postgres.connections_min"));
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (written, meant) in [
            ("gateway.lisen", "gateway.listen"),
            ("gatway.listen", "gateway.listen"),
            ("gateway.max-body", "gateway.max_body"),
            ("max_body", "gateway.max_body"),
            ("runtime.shard", "runtime.shards"),
            ("journal.connections_max", "journal.postgres.connections_max"),
            ("postgres.lock_timeout", "journal.postgres.lock_timeout"),
            ("journal.postgres.url", "journal.url"),
            ("passivation.idle", "passivation.idle_after"),
        ] {
            assert_eq!(KNOWN_KEYS.nearest(written), meant, "{written}");
        }
    }
}

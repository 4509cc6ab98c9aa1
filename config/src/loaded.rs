//! A loaded configuration: its values, and where each came from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use toml::{Table, Value};

use crate::known_keys::KNOWN_KEYS;
use crate::{Config, Origin};

/// A configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values, validated.
    pub config: Config,
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// One value for `config print`, secrets masked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The key path, `gateway.listen`.
    pub key: String,
    /// The value with its type. Its `Display` is TOML.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Loaded {
    /// Where the value of a key (`gateway.listen`) came from. `None` if there is no such key.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    /// Every value in the order of the default file, secrets masked.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let values = Table::try_from(&self.config).expect("a configuration is TOML, a test checks that");
        KNOWN_KEYS.iter().filter_map(move |(key, _)| {
            Some(Row {
                key: key.to_owned(),
                value: find(&values, key)?.clone(),
                origin: self.origins.get(key)?.clone(),
            })
        })
    }

    /// Every value as a TOML file, secrets masked, with the origin of each value as a comment. Except for passwords,
    /// the file can be loaded again.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut open = String::new();
        for Row { key, value, origin } in self.rows() {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", &key));
            if section != open {
                let gap = if open.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{section}]");
                open = section.to_owned();
            }
            let _ = writeln!(text, "{name} = {value} # {origin}");
        }
        text
    }
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

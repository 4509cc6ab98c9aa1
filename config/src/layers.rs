//! The layers of a configuration, later ones win: defaults < profile < file < environment < `--set`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::known_keys::{KNOWN_KEYS, join};
use crate::secret::mask;
use crate::sources::PREFIX;
use crate::{Config, Error, Loaded, Origin, Sources, config};

/// Reads all layers, checks every key and value, and records where each value came from.
///
/// # Errors
/// The first [`Error`] that is found.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    let mut layers = Layers::defaults();
    if let Some(name) = &sources.profile {
        layers.profile(name)?;
    }
    if let Some(path) = &sources.file {
        layers.file(path)?;
    }
    layers.environment(&sources.environment)?;
    for assignment in &sources.overrides {
        layers.assignment(assignment)?;
    }
    layers.finish()
}

/// The value of every known key in the layers so far, and where it came from.
pub(crate) struct Layers {
    settings: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    fn defaults() -> Self {
        let settings =
            KNOWN_KEYS.iter().map(|(key, value)| (key.to_owned(), (value.clone(), Origin::Default))).collect();
        Self { settings }
    }

    /// A configuration that is in use, as the only layer. Its secrets are masked.
    pub(crate) fn of(config: &Config) -> Self {
        let table = Table::try_from(config).expect("a configuration is TOML, a test checks that");
        let mut layers = Self::defaults();
        layers.replace("", Value::Table(table), &|_| Origin::Default).expect("all keys of a configuration are known");
        layers
    }

    fn profile(&mut self, name: &str) -> Result<(), Error> {
        let overlay = config::profile(name).ok_or_else(|| Error::UnknownProfile {
            name: name.to_owned(),
            known: config::profiles().collect::<Vec<_>>().join(", "),
        })?;
        let table: Table = overlay.parse().expect("embedded profiles parse, a test loads each");
        self.replace("", Value::Table(table), &|_| Origin::Profile(name.to_owned()))
    }

    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let table: Table = text.parse().map_err(|error| syntax(path, &text, &error))?;
        // The text is parsed a second time, with spans, for the line numbers.
        let spanned = DeTable::parse(&text).map_err(|error| syntax(path, &text, &error))?;
        self.replace("", Value::Table(table), &|key| {
            let (line, _) = position(&text, offset_of(key, spanned.get_ref()));
            Origin::File { path: path.to_owned(), line }
        })
    }

    fn environment(&mut self, environment: &[(String, String)]) -> Result<(), Error> {
        let mut ours: Vec<_> =
            environment.iter().filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?, value))).collect();
        // The environment has no order. Sorting makes the result deterministic: the first error, and the value of a key
        // that is set by itself and with its section.
        ours.sort_unstable();
        for (name, path, value) in ours {
            let path = path.to_lowercase();
            let key = path.split("__").fold(String::new(), |key, part| join(&key, part));
            let value = value_of(&key, value);
            self.replace(&key, value, &|_| Origin::Environment(name.clone()))?;
        }
        Ok(())
    }

    fn assignment(&mut self, text: &str) -> Result<(), Error> {
        let (key, value) = assigned(text).ok_or_else(|| Error::Override { text: mask(text) })?;
        self.replace(&key, value, &|_| Origin::Override)
    }

    /// The key and the value of a change, as an assignment.
    pub(crate) fn change(text: &str) -> Result<(String, Value), Error> {
        let (key, value) = assigned(text).ok_or_else(|| Error::Change { text: mask(text) })?;
        Self::defaults().replace(&key, value.clone(), &|_| Origin::Change)?;
        Ok((key, value))
    }

    pub(crate) fn changes(&mut self, table: Table) -> Result<(), Error> {
        self.replace("", Value::Table(table), &|_| Origin::Change)
    }

    /// Replaces a value, or all values of a table.
    fn replace(&mut self, key: &str, value: Value, origin: &dyn Fn(&str) -> Origin) -> Result<(), Error> {
        if let Some(setting) = self.settings.get_mut(key) {
            *setting = (value, origin(key));
            return Ok(());
        }
        match (value, KNOWN_KEYS.first_in(key)) {
            (Value::Table(table), Some(_)) => {
                for (part, value) in table {
                    self.replace(&join(key, &part), value, origin)?;
                }
                Ok(())
            }
            (_, Some(example)) => {
                Err(Error::Section { origin: origin(key), key: key.to_owned(), example: example.to_owned() })
            }
            (value, None) => {
                // For an unknown section, the error names a key in it, because the nearest known key of that is a
                // better hint.
                let inside = value.as_table().and_then(|table| table.keys().next());
                let key = inside.map_or_else(|| key.to_owned(), |part| join(key, part));
                Err(Error::UnknownKey {
                    origin: origin(&key),
                    nearest: KNOWN_KEYS.nearest(&key).to_owned(),
                    key: mask(&key),
                })
            }
        }
    }

    pub(crate) fn finish(self) -> Result<Loaded, Error> {
        let mut root = Table::new();
        for (key, (value, _)) in &self.settings {
            insert(&mut root, key, value.clone());
        }
        let config: Config = serde_path_to_error::deserialize(Value::Table(root)).map_err(|error| {
            let path = error.path().to_string();
            // An error within a list (`views.replicas[0]`) is reported for the key of the list.
            let key = path.split_once('[').map_or(path.as_str(), |(list, _)| list);
            self.refused(key, expected_in(error.inner().message()))
        })?;
        config.validate().map_err(|violation| {
            let against = violation.other.and_then(|other| self.settings.get(other).zip(Some(other)));
            let expected = match against {
                Some(((value, origin), other)) => {
                    format!("{} {other} = {} ({origin})", violation.expected, displayed(value))
                }
                None => violation.expected.clone(),
            };
            self.refused(violation.key, expected)
        })?;
        let origins = self.settings.into_iter().map(|(key, (_, origin))| (key, origin)).collect();
        Ok(Loaded { config, origins })
    }

    fn refused(&self, key: &str, expected: String) -> Error {
        let (value, origin) = match self.settings.get(key) {
            Some((value, origin)) => (displayed(value), origin.clone()),
            None => ("?".to_owned(), Origin::Default),
        };
        Error::Value { origin, key: key.to_owned(), value, expected }
    }
}

/// `section.key=value` as key and value.
fn assigned(text: &str) -> Option<(String, Value)> {
    let (path, value) = text.split_once('=')?;
    let key = path.trim().split('.').fold(String::new(), |key, part| join(&key, part));
    let value = value_of(&key, value.trim());
    Some((key, value))
}

/// The value of an environment variable or a `--set`: TOML if it parses, else the text itself. If the default of the
/// key is a text, only quotes are removed, so that a name of digits stays a text.
fn value_of(key: &str, text: &str) -> Value {
    let literal = || Value::String(text.to_owned());
    match text.parse::<Value>() {
        Ok(value @ Value::String(_)) => value,
        Ok(_) if KNOWN_KEYS.default_of(key).is_some_and(Value::is_str) => literal(),
        Ok(value) => value,
        Err(_) => literal(),
    }
}

pub(crate) fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The expectation in an error message of serde, without the value, which is shown masked elsewhere. Names of Rust
/// types are replaced by plain words.
fn expected_in(message: &str) -> String {
    let expected = message.rsplit_once("expected ").map_or(message, |(_, expected)| expected);
    match expected {
        "a nonzero u32" => format!("a whole number from 1 to {}", u32::MAX),
        "a nonzero usize" | "a nonzero u64" => "a whole number from 1".to_owned(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        other => one_line(other),
    }
}

/// A value as an error shows it: on one line, with secrets masked, and without the contents of a table or an array.
fn displayed(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", mask(text)),
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        other => other.to_string(),
    }
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    Error::Syntax { path: path.to_owned(), line, column, message: one_line(error.message()) }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

/// Line and column of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The byte offset of a key in the text, or that of its nearest section.
fn offset_of(key: &str, table: &DeTable<'_>) -> usize {
    let found = table.iter().find_map(|(part, value)| {
        let rest = key.strip_prefix(join("", part.get_ref()).as_str())?;
        match (rest.strip_prefix('.'), value.get_ref()) {
            (None, _) if !rest.is_empty() => None,
            (Some(rest), DeValue::Table(inner)) => {
                let inside = offset_of(rest, inner);
                Some(if inside == 0 { part.span().start } else { inside })
            }
            _ => Some(part.span().start),
        }
    });
    found.unwrap_or(0)
}

//! The values of declared fields in documents: read in the same way by all stores that read them in Rust.
//!
//! A value of another kind counts as missing. The first 400 characters of a text count. Numbers are read from their
//! digits: whole numbers are exact, and a number with a fraction is the nearest `f64`.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fields::{Field, Kind};
use crate::query::Value;

/// Declared fields as a tree of names: one pass over a document finds the values of all fields.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// The field with this path, if one is declared: its number and kind.
    field: Option<(usize, Kind)>,
    within: Vec<(&'static str, Paths)>,
}

impl Paths {
    /// The tree of some fields. The number of a field is its index among them.
    pub(crate) fn of<'f>(fields: impl Iterator<Item = &'f Field>) -> Self {
        let mut root = Self::default();
        for (number, field) in fields.enumerate() {
            field.steps().fold(&mut root, Self::within).field = Some((number, field.kind));
        }
        root
    }

    fn within(&mut self, name: &'static str) -> &mut Self {
        let found = self.within.iter().position(|(known, _)| *known == name);
        let number = found.unwrap_or_else(|| {
            self.within.push((name, Self::default()));
            self.within.len() - 1
        });
        &mut self.within[number].1
    }

    /// The values of all `count` fields of the tree. All are missing if the document is not valid JSON.
    pub(crate) fn values(&self, document: &str, count: usize) -> Vec<Option<Value>> {
        let mut values = vec![None; count];
        if self.find(document.trim_start(), &mut values).is_err() {
            values.fill(None);
        }
        values
    }

    fn find(&self, json: &str, values: &mut [Option<Value>]) -> Result<(), serde_json::Error> {
        if let Some((number, kind)) = self.field {
            values[number] = value(kind, json);
        }
        if !self.within.is_empty() && json.starts_with('{') {
            serde_json::Deserializer::from_str(json).deserialize_map(Object { paths: self, values })?;
        }
        Ok(())
    }

    /// Clears what an earlier member of the same name has set: the last one counts.
    fn forget(&self, values: &mut [Option<Value>]) {
        if let Some((number, _)) = self.field {
            values[number] = None;
        }
        self.within.iter().for_each(|(_, inner)| inner.forget(values));
    }
}

/// The value of a piece of JSON, if it is of this kind.
fn value(kind: Kind, json: &str) -> Option<Value> {
    let is_number = || json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    match kind {
        Kind::Text => serde_json::from_str(json).ok().map(|text| Value::Text(text).compared()),
        Kind::Integer | Kind::Real => is_number().then(|| Value::parse(kind, json))?,
        Kind::Boolean => Value::parse(kind, json),
    }
}

/// An object within a document, or the whole of it.
struct Object<'p, 'v> {
    paths: &'p Paths,
    values: &'v mut [Option<Value>],
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(found) = object.next_key_seed(Name(self.paths))? {
            match found {
                Some(paths) => {
                    let json: &RawValue = object.next_value()?;
                    paths.forget(self.values);
                    paths.find(json.get(), self.values).map_err(A::Error::custom)?;
                }
                None => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Reads the name of a member, and finds the declared fields within the member.
struct Name<'p>(&'p Paths);

impl<'de, 'p> DeserializeSeed<'de> for Name<'p> {
    type Value = Option<&'p Paths>;

    fn deserialize<D: serde::Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Name<'p> {
    type Value = Option<&'p Paths>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.within.iter().find(|(known, _)| *known == name).map(|(_, inner)| inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn found(fields: &Fields, document: &str) -> Vec<Option<Value>> {
        Paths::of(fields.iter()).values(document, fields.iter().count())
    }

    #[test]
    fn numbers_are_read_from_their_digits() {
        let fields = Fields::none().integer("whole").real("real");
        let in_both = |number: &str| {
            let mut values = found(&fields, &format!(r#"{{"whole": {number}, "real": {number}}}"#));
            (values.remove(0), values.remove(0))
        };
        for whole in [i128::from(i64::MIN), -1, 0, 1 << 53, (1 << 53) + 1, 1 << 63, i128::from(u64::MAX)] {
            assert_eq!(in_both(&whole.to_string()), (Some(Value::Integer(whole)), Some(Value::Real(whole as f64))));
        }
        for beyond in ["-9223372036854775809", "18446744073709551616", "1.0", "1e3"] {
            assert_eq!(in_both(beyond), (None, Some(Value::Real(beyond.parse().unwrap()))));
        }
        // Fast parsers that are not exact are off by one step for these.
        for exact in [0.1 + 0.2, 1.7976931348623157e308, 5e-324, 8.41e21, 9.5367431640625e-7] {
            assert_eq!(in_both(&format!("{exact:?}")).1, Some(Value::Real(exact)));
        }
        assert_eq!(in_both("1e999"), (None, None));
    }

    #[test]
    fn a_value_of_another_kind_is_missing() {
        let fields = Fields::none().text("text").integer("whole").real("real").boolean("truth");
        for json in ["null", "[1]", r#"{"a": 1}"#] {
            let document = format!(r#"{{"text": {json}, "whole": {json}, "real": {json}, "truth": {json}}}"#);
            assert_eq!(found(&fields, &document), [const { None }; 4], "{json}");
        }
        let document = r#"{"text": 1, "whole": "1", "real": "1", "truth": "true"}"#;
        assert_eq!(found(&fields, document), [const { None }; 4]);
        for document in ["", "1", "[]", "null", r#""text""#, r#"{"text": "a""#, r#"{"text": "a", "whole": }"#] {
            assert_eq!(found(&fields, document), [const { None }; 4], "{document}");
        }
    }

    #[test]
    fn a_field_may_be_within_another_and_the_last_of_equal_names_counts() {
        let fields = Fields::none().text("in").text("in.a").boolean("in.b.c");
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        assert_eq!(found(&fields, r#" {"in": "x", "in.a": "y"}"#), [text("x"), None, None]);
        let within = r#"{"x": {"a": "no"}, "in": { "a" : "\u00e4\"" , "b": {"c": true}, "z": [{"a": 1}]}}"#;
        assert_eq!(found(&fields, within), [None, text("ä\""), Some(Value::Boolean(true))]);
        let twice = r#"{"in": {"a": "first", "b": {"c": true}}, "in": {"a": "last"}}"#;
        assert_eq!(found(&fields, twice), [None, text("last"), None]);
        let long = format!(r#"{{"in": "{}"}}"#, "ü".repeat(401));
        assert_eq!(found(&fields, &long)[0], Some(Value::Text("ü".repeat(400))));
    }
}

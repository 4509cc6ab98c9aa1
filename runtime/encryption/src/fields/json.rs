//! Finds values in JSON, without decoding them.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dormouse_kernel::FORGOTTEN_KEY;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::path::Path;
use super::splice::{self, Part};
use super::{Found, PersonalFields, StateId};
use crate::error::{Malformed, OpenError};
use crate::limits::JSON_NESTING;

/// The only key of the object that a sealed value becomes.
const SEALED_KEY: &str = "$sealed";

/// What takes the place of a value that was forgotten.
pub(super) const FORGOTTEN: &[u8] = br#"{"forgotten":true}"#;

/// The personal values of a document, in order.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Those that are neither absent, nor forgotten, nor sealed.
    pub(super) plain: Vec<Found>,
    /// Those that are sealed.
    pub(super) sealed: Vec<Found>,
}

/// A sealed value as an object.
pub(super) fn object(envelope: &[u8]) -> String {
    format!("{{\"{SEALED_KEY}\":\"{}\"}}", URL_SAFE_NO_PAD.encode(envelope))
}

/// The envelope of such an object.
pub(super) fn sealed_bytes(document: &str, at: &Range<usize>) -> Result<Vec<u8>, OpenError> {
    let text = sealed_text(&document[at.clone()]).ok_or(Malformed::Damaged)?;
    Ok(URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed::Damaged)?)
}

/// Replaces values by others.
pub(super) fn splice(document: &mut String, parts: &[Part]) -> Result<(), Malformed> {
    if parts.iter().any(|part| std::str::from_utf8(&part.bytes).is_err()) {
        return Err(Malformed::Damaged);
    }
    let mut bytes = std::mem::take(document).into_bytes();
    splice::splice(&mut bytes, parts);
    *document = String::from_utf8(bytes).map_err(|_| Malformed::Damaged)?;
    Ok(())
}

pub(super) fn values(fields: &PersonalFields, document: &str) -> Result<Values, Malformed> {
    let Some(root) = fields.root else { return Ok(Values::default()) };
    let whole: &RawValue = parse(document)?;
    let mut search = Search { fields, document, path: Path::default(), values: Values::default() };
    search.value(whole, root, JSON_NESTING)?;
    Ok(search.values)
}

struct Search<'d> {
    fields: &'d PersonalFields,
    document: &'d str,
    path: Path,
    values: Values,
}

impl<'d> Search<'d> {
    fn value(&mut self, value: &'d RawValue, state: StateId, depth: usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        let fields = self.fields;
        let state = &fields.states[state];
        let text = value.get();
        if state.is_personal {
            // The value is a part of the document, so this is where it begins.
            let start = text.as_ptr().addr() - self.document.as_ptr().addr();
            let found = Found { path: self.path.to_text(), at: start..start + text.len() };
            if sealed_text(text).is_some() {
                self.values.sealed.push(found);
            } else if text != "null" && !is_forgotten(text) {
                self.values.plain.push(found);
            }
            return Ok(());
        }
        if text.starts_with('{') {
            for (name, field) in parse::<Object<'_>>(text)?.0 {
                if let Some(state) = state.field(&name) {
                    let before = self.path.field(&name);
                    self.value(field, state, depth)?;
                    self.path.back(before);
                }
            }
        } else if text.starts_with('[') {
            for (index, element) in parse::<Vec<&RawValue>>(text)?.into_iter().enumerate() {
                if let Some(state) = state.element(index) {
                    let before = self.path.element(index);
                    self.value(element, state, depth)?;
                    self.path.back(before);
                }
            }
        }
        Ok(())
    }
}

/// The text in the object of a sealed value.
fn sealed_text(value: &str) -> Option<String> {
    let (key, text) = only_field(value)?;
    if key == SEALED_KEY { serde_json::from_str(text.get()).ok() } else { None }
}

fn is_forgotten(value: &str) -> bool {
    only_field(value).is_some_and(|(key, value)| key == FORGOTTEN_KEY && value.get() == "true")
}

/// The field of an object that has exactly one.
fn only_field(value: &str) -> Option<(String, &RawValue)> {
    if !value.starts_with('{') {
        return None;
    }
    let mut fields = parse::<Object<'_>>(value).ok()?.0;
    let only = fields.pop()?;
    fields.is_empty().then_some(only)
}

fn parse<'d, T: Deserialize<'d>>(text: &'d str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|_| Malformed::Damaged)
}

/// The fields of an object in their order, a repeated one too.
struct Object<'d>(Vec<(String, &'d RawValue)>);

impl<'d> Deserialize<'d> for Object<'d> {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'d> Visitor<'d> for Fields {
            type Value = Object<'d>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<Object<'d>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        from.deserialize_map(Fields)
    }
}

//! Data about a person, as a field of a command, an event, a reply or a document.

mod name;
mod read;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The extension that marks personal fields in a JSON schema. Its value is `true`.
pub const PERSONAL_EXTENSION: &str = "x-personal";

/// The only key of the object that takes the place of a value that was forgotten. Its value is `true`.
pub const FORGOTTEN_KEY: &str = "forgotten";

/// A value about a person, such as a name or an e-mail address. It is stored encrypted, and it can be forgotten.
///
/// A known value is written as the value itself. So a field of type `T` can become `Personal<T>` without an upcaster. A
/// forgotten one is written as the object `{"forgotten": true}`. `Debug` never shows the value.
///
/// ```
/// # use dormouse_kernel::Personal;
/// let email: Personal<String> = "ada@example.org".to_owned().into();
/// assert_eq!(email.known().map(String::as_str), Some("ada@example.org"));
/// assert_eq!(format!("{email:?}"), "Known(***)");
/// ```
///
/// Limits: the name `forgotten` is reserved. It must be neither the first field of a struct `T`, nor the first key of a
/// map, nor a variant of an enum. If `T` is a 128-bit integer, `Forgotten` is written but cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Personal<T> {
    /// The value.
    Known(T),
    /// The key of the value was destroyed.
    Forgotten,
}

impl<T> Personal<T> {
    /// The value, unless it was forgotten.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Forgotten => None,
        }
    }

    /// The value, unless it was forgotten.
    #[must_use]
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Forgotten => None,
        }
    }

    /// Whether the value was forgotten.
    #[must_use]
    pub const fn is_forgotten(&self) -> bool {
        matches!(self, Self::Forgotten)
    }

    /// The same with a reference to the value.
    #[must_use]
    pub const fn as_ref(&self) -> Personal<&T> {
        match self {
            Self::Known(value) => Personal::Known(value),
            Self::Forgotten => Personal::Forgotten,
        }
    }

    /// Changes the value, unless it was forgotten.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Personal<U> {
        match self {
            Self::Known(value) => Personal::Known(change(value)),
            Self::Forgotten => Personal::Forgotten,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl From<&str> for Personal<String> {
    fn from(value: &str) -> Self {
        Self::Known(value.to_owned())
    }
}

impl<T: Default> Default for Personal<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Known(_) => "Known(***)",
            Self::Forgotten => "Forgotten",
        })
    }
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Forgotten => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(FORGOTTEN_KEY, &true)?;
                map.end()
            }
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if crate::shape::is_tracing() {
            // The shape of a state must show the shape of its personal values.
            return T::deserialize(deserializer).map(Self::Known);
        }
        read::personal(deserializer)
    }
}

impl<T: JsonSchema> JsonSchema for Personal<T> {
    /// Inline, so that a description of the field keeps its place beside the mark.
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Personal_{}", T::schema_name()).into()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("dormouse_kernel::Personal<{}>", T::schema_id()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let forgotten = json_schema!({
            "type": "object",
            "properties": { FORGOTTEN_KEY: { "const": true } },
            "required": [FORGOTTEN_KEY],
            "additionalProperties": false,
        });
        json_schema!({ PERSONAL_EXTENSION: true, "anyOf": [generator.subschema_for::<T>(), forgotten] })
    }
}

#[cfg(test)]
mod tests;

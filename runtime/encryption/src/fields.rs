//! Where the personal values of a type are, in each of its forms.

mod json;
mod message_pack;
mod path;
mod schema;
mod splice;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::binding::{Binding, Form};
use crate::data_key::DataKey;
use crate::envelope::{self, Envelope};
use crate::error::{Malformed, OpenError, SealError};
use crate::id::KeyId;
use crate::keyring::{FindKey, KeyState};
pub use schema::SchemaError;
use splice::{Part, splice};

/// The places of personal values in the payloads of one type. They are compiled from its schema once, and clones share
/// them.
#[derive(Clone, Debug)]
pub struct PersonalFields {
    states: Arc<[State]>,
    /// `None`: there are no personal values.
    root: Option<StateId>,
}

type StateId = usize;

/// What is known of the values at one place.
#[derive(Clone, Debug, Default)]
struct State {
    /// The value is personal, as a whole.
    is_personal: bool,
    /// The fields of an object. `None`: there are no personal values in it.
    fields: HashMap<Box<str>, Option<StateId>>,
    /// The fields with other names.
    other_fields: Option<StateId>,
    /// The first elements of a list.
    first_elements: Vec<Option<StateId>>,
    /// The elements after them.
    other_elements: Option<StateId>,
}

impl State {
    fn field(&self, name: &str) -> Option<StateId> {
        self.fields.get(name).copied().unwrap_or(self.other_fields)
    }

    fn element(&self, index: usize) -> Option<StateId> {
        self.first_elements.get(index).copied().unwrap_or(self.other_elements)
    }
}

/// How many sealed values a payload had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Values that are back.
    pub values: usize,
    /// Values that were forgotten: the mark is in their place.
    pub forgotten: usize,
}

impl Opened {
    /// Counts the values of another payload, too.
    pub fn add(&mut self, other: Self) {
        self.values += other.values;
        self.forgotten += other.forgotten;
    }
}

/// A value in a payload.
#[derive(Debug)]
struct Found {
    path: String,
    at: std::ops::Range<usize>,
}

impl PersonalFields {
    /// The personal fields of a type, as it is serialized.
    ///
    /// # Errors
    /// As with [`from_schema`](Self::from_schema).
    pub fn of<T: JsonSchema>() -> Result<Self, SchemaError> {
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        Self::from_schema(&generator.into_root_schema_for::<T>())
    }

    /// The personal fields of a type with this schema. References begin at the root of the schema.
    ///
    /// # Errors
    /// If a reference leads nowhere, if a place is personal in one variant only, or if the names of fields are
    /// personal.
    pub fn from_schema(schema: &Schema) -> Result<Self, SchemaError> {
        let (states, root) = schema::compile(schema.as_value())?;
        Ok(Self { states: states.into(), root })
    }

    /// Whether the type has no personal values at all. Then there is nothing to do for any of its payloads.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The personal fields below one field of an object. Events are stored without their names: `variant("Enrolled")`
    /// has the personal fields of that event's payload.
    #[must_use]
    pub fn variant(&self, name: &str) -> Self {
        let root = self.root.and_then(|root| self.states[root].field(name));
        Self { states: Arc::clone(&self.states), root }
    }

    /// Whether a MessagePack payload has a value that [`seal`](Self::seal) would seal. A payload without any needs no
    /// key.
    ///
    /// # Errors
    /// If the payload is not MessagePack.
    pub fn has_values(&self, payload: &[u8]) -> Result<bool, Malformed> {
        Ok(!message_pack::plain_values(self, payload)?.is_empty())
    }

    /// Seals the personal values of a MessagePack payload with field names. Returns how many there were.
    ///
    /// Absent values (nil), forgotten ones, and those that are sealed already stay as they are. All other bytes stay
    /// the same.
    ///
    /// # Errors
    /// If the payload is not MessagePack. It is unchanged then.
    pub fn seal(&self, payload: &mut Vec<u8>, key: &DataKey, binding: &Binding<'_>) -> Result<usize, SealError> {
        let found = message_pack::plain_values(self, payload)?;
        let parts = found.into_iter().map(|Found { path, at }| {
            let sealed = envelope::seal(&payload[at.clone()], key, binding, Form::MessagePack, &path)?;
            Ok(Part { at, bytes: message_pack::extension(message_pack::FIELD_TAG, &sealed) })
        });
        let parts: Vec<Part> = parts.collect::<Result<_, SealError>>()?;
        splice(payload, &parts);
        Ok(parts.len())
    }

    /// Whether a JSON document has a value that [`seal_json`](Self::seal_json) would seal.
    ///
    /// # Errors
    /// If the document is not JSON.
    pub fn has_values_json(&self, document: &str) -> Result<bool, Malformed> {
        Ok(!json::values(self, document)?.plain.is_empty())
    }

    /// Seals the personal values of a JSON document: each becomes the object `{"$sealed": "…"}`. Returns how many there
    /// were. Otherwise as [`seal`](Self::seal).
    ///
    /// # Errors
    /// If the document is not JSON. It is unchanged then.
    pub fn seal_json(&self, document: &mut String, key: &DataKey, binding: &Binding<'_>) -> Result<usize, SealError> {
        let found = json::values(self, document)?.plain;
        let parts = found.into_iter().map(|Found { path, at }| {
            let sealed = envelope::seal(&document.as_bytes()[at.clone()], key, binding, Form::Json, &path)?;
            Ok(Part { at, bytes: json::object(&sealed).into_bytes() })
        });
        let parts: Vec<Part> = parts.collect::<Result<_, SealError>>()?;
        json::splice(document, &parts)?;
        Ok(parts.len())
    }

    /// The keys that sealed the values of a JSON document.
    ///
    /// # Errors
    /// If the document is not JSON, or a sealed value is damaged.
    pub fn key_ids_json(&self, document: &str) -> Result<Vec<KeyId>, OpenError> {
        let sealed = json::values(self, document)?.sealed;
        sealed.iter().map(|found| Ok(Envelope::parse(&json::sealed_bytes(document, &found.at)?)?.key())).collect()
    }

    /// Opens the sealed values of a JSON document. Only the places of personal values are looked at: an object that
    /// resembles a sealed value and is elsewhere stays what it is.
    ///
    /// # Errors
    /// If the document is not JSON, or a value cannot be opened. It is unchanged then.
    pub fn open_json(
        &self,
        document: &mut String,
        keys: &impl FindKey,
        binding: &Binding<'_>,
    ) -> Result<Opened, OpenError> {
        let found = json::values(self, document)?.sealed;
        let mut opened = Opened::default();
        let parts = found.into_iter().map(|Found { path, at }| {
            let envelope = json::sealed_bytes(document, &at)?;
            let plain = open_value(&envelope, keys, binding, Form::Json, &path, &mut opened)?;
            Ok(Part { at, bytes: plain.unwrap_or_else(|| json::FORGOTTEN.to_vec()) })
        });
        let parts: Vec<Part> = parts.collect::<Result<_, OpenError>>()?;
        json::splice(document, &parts)?;
        Ok(opened)
    }
}

/// Seals a whole MessagePack payload, which becomes an extension of its own type.
///
/// # Errors
/// If the cipher fails. The payload is unchanged then.
pub fn seal_whole(payload: &mut Vec<u8>, key: &DataKey, binding: &Binding<'_>) -> Result<(), SealError> {
    let sealed = envelope::seal(payload, key, binding, Form::Whole, "")?;
    *payload = message_pack::extension(message_pack::WHOLE_TAG, &sealed);
    Ok(())
}

/// The keys that sealed a MessagePack payload or values in it. If the whole payload was sealed, the values in it cannot
/// be seen.
///
/// # Errors
/// If the payload is not MessagePack, or a sealed value is damaged.
pub fn key_ids(payload: &[u8]) -> Result<Vec<KeyId>, OpenError> {
    if let Some(whole) = message_pack::whole(payload)? {
        return Ok(vec![Envelope::parse(whole)?.key()]);
    }
    let sealed = message_pack::sealed_values(payload)?;
    sealed.iter().map(|value| Ok(Envelope::parse(&payload[value.body.clone()])?.key())).collect()
}

/// Opens what is sealed in a MessagePack payload: the whole, and the values in it. The type's schema is not needed, so
/// that a payload is opened that an earlier version of its type wrote. A payload without sealed values is not copied.
///
/// # Errors
/// If the payload is not MessagePack, or something cannot be opened. It is unchanged then.
pub fn open(payload: &mut Vec<u8>, keys: &impl FindKey, binding: &Binding<'_>) -> Result<Opened, OpenError> {
    let mut opened = Opened::default();
    let whole = match message_pack::whole(payload)? {
        None => None,
        Some(envelope) => {
            let key = Envelope::parse(envelope)?.key();
            let plain = open_value(envelope, keys, binding, Form::Whole, "", &mut opened)?;
            Some(plain.ok_or(OpenError::Forgotten { key })?)
        }
    };
    let plain = whole.as_deref().unwrap_or(payload);
    let found = message_pack::sealed_values(plain)?;
    let parts = found.into_iter().map(|value| {
        let envelope = &plain[value.body];
        let bytes = open_value(envelope, keys, binding, Form::MessagePack, &value.found.path, &mut opened)?;
        Ok(Part { at: value.found.at, bytes: bytes.unwrap_or_else(|| message_pack::FORGOTTEN.to_vec()) })
    });
    let parts: Vec<Part> = parts.collect::<Result<_, OpenError>>()?;
    if let Some(whole) = whole {
        *payload = whole;
    }
    splice(payload, &parts);
    Ok(opened)
}

/// The plain bytes of a sealed value. `None`: its key was destroyed.
fn open_value(
    envelope: &[u8],
    keys: &impl FindKey,
    binding: &Binding<'_>,
    form: Form,
    path: &str,
    opened: &mut Opened,
) -> Result<Option<Vec<u8>>, OpenError> {
    let envelope = Envelope::parse(envelope)?;
    match keys.find_key(envelope.key()) {
        None => Err(OpenError::NoKey { key: envelope.key() }),
        Some(KeyState::Destroyed) => {
            opened.forgotten += 1;
            Ok(None)
        }
        Some(KeyState::Live(key)) => {
            let plain = envelope.open(&key, binding, form, path)?;
            opened.values += 1;
            Ok(Some(plain))
        }
    }
}

//! Events as rows: the stable name, the schema version, and the fields.

use super::{CodecError, decode_whole, with_encoded};
use crate::aggregate::DomainEvent;
use crate::outgoing::OUTGOING_EVENT;
use crate::selection::EventSelection;
use crate::upcast::{RawEvent, Upcasters};
use crate::variant::{NotAnEnum, decode_variant, variant_names};

/// An event in the form of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedEvent {
    /// Its stable name.
    pub name: &'static str,
    /// The version of its schema.
    pub schema_version: u32,
    /// Its fields.
    pub fields: Vec<u8>,
}

/// Turns the events of one aggregate type into rows and back. It is built once for each type, and then shared.
#[derive(Debug)]
pub struct EventCodec<E> {
    events: Vec<(&'static str, u32)>,
    upcasters: Upcasters,
    event: std::marker::PhantomData<fn() -> E>,
}

/// What one stored event decodes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<E> {
    /// The event itself.
    One(E),
    /// The events that upcasters made of it.
    Many(Vec<E>),
}

impl<E: DomainEvent> EventCodec<E> {
    /// A codec with the names of the events and the steps of their upcasters.
    ///
    /// # Errors
    /// If `E` is not an enum with one variant per event.
    pub fn new() -> Result<Self, NotAnEnum> {
        let upcasters = E::upcasters().settled();
        let events = variant_names::<E>()?.iter().map(|name| (*name, upcasters.current_version(name))).collect();
        Ok(Self { events, upcasters, event: std::marker::PhantomData })
    }

    /// The names and schema versions of the events that are written now.
    #[must_use]
    pub fn events(&self) -> &[(&'static str, u32)] {
        &self.events
    }

    /// The names that an event had before upcasters renamed it, sorted.
    #[must_use]
    pub fn former_names(&self, name: &str) -> Vec<&'static str> {
        self.upcasters.former_names(name)
    }

    /// Selects the stored events that have these names, or that upcasters turn into such events. A former name of an
    /// event selects it, too. Names that no event has or had select nothing.
    #[must_use]
    pub fn select<N: AsRef<str>>(&self, names: &[N]) -> EventSelection {
        EventSelection::new::<E>(&self.upcasters, names)
    }

    /// Encodes an event, with its name apart from its fields.
    ///
    /// # Errors
    /// If it has a shape that MessagePack cannot hold.
    pub fn encode(&self, event: &E) -> Result<EncodedEvent, CodecError> {
        with_encoded(event, |bytes| {
            let broken =
                |reason: &str| CodecError::Encode { what: std::any::type_name::<E>(), reason: reason.to_owned() };
            let (name, start) = variant_tag(bytes).ok_or_else(|| broken("it is not an enum with variants by name"))?;
            let known = self.events.iter().find(|(known, _)| known.as_bytes() == name);
            let &(name, schema_version) =
                known.ok_or_else(|| broken("serialization and deserialization differ in names"))?;
            let fields = start.map_or_else(|| vec![NIL], |start| bytes[start..].to_vec());
            Ok(EncodedEvent { name, schema_version, fields })
        })?
    }

    /// Reads a stored event. Upcasters may turn it into several. A row of the runtime's own
    /// ([`OUTGOING_EVENT`]) is no event of the domain: it becomes none.
    ///
    /// # Errors
    /// If the bytes are damaged, or the event is unknown or newer than this code.
    pub fn decode(&self, name: &str, schema_version: u32, fields: &[u8]) -> Result<Decoded<E>, CodecError> {
        if name == OUTGOING_EVENT {
            return Ok(Decoded::Many(Vec::new()));
        }
        if !self.upcasters.applies_to(name, schema_version) {
            return self.decode_current(name, schema_version, fields).map(Decoded::One);
        }
        let raw = RawEvent { name: name.to_owned(), schema_version, fields: fields.to_vec() };
        let current = self.upcasters.apply(raw)?;
        let events = current.iter().map(|raw| self.decode_current(&raw.name, raw.schema_version, &raw.fields));
        events.collect::<Result<_, _>>().map(Decoded::Many)
    }

    fn decode_current(&self, name: &str, schema_version: u32, fields: &[u8]) -> Result<E, CodecError> {
        let broken = |reason| CodecError::Decode { what: format!("event {name}"), reason };
        match self.events.iter().find(|(known, _)| *known == name) {
            Some(&(_, known)) if schema_version > known => {
                return Err(CodecError::Newer { name: name.to_owned(), found: schema_version, known });
            }
            // Without a step, the fields might be read as something that they do not mean.
            Some(&(_, known)) if schema_version < known => {
                return Err(broken(format!("no upcaster takes schema version {schema_version} towards {known}")));
            }
            _ => {}
        }
        decode_whole(fields, |from| decode_variant(name, from)).map_err(|error| broken(error.to_string()))
    }
}

impl<E> Decoded<E> {
    /// The events as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[E] {
        match self {
            Self::One(event) => std::slice::from_ref(event),
            Self::Many(events) => events,
        }
    }
}

const NIL: u8 = 0xc0;

/// Splits `{name: fields}` (a map of one) or `name` (a variant without fields) in MessagePack. Returns the name, and
/// where the fields start.
pub(crate) fn variant_tag(bytes: &[u8]) -> Option<(&[u8], Option<usize>)> {
    const MAP_OF_ONE: u8 = 0x81;
    let text = usize::from(*bytes.first()? == MAP_OF_ONE);
    let header = *bytes.get(text)?;
    let (start, length) = match header {
        0xa0..=0xbf => (text + 1, usize::from(header & 0x1f)),
        0xd9 => (text + 2, usize::from(*bytes.get(text + 1)?)),
        _ => return None,
    };
    let name = bytes.get(start..start + length)?;
    Some((name, (text == 1).then_some(start + length)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::codec::{decode, encode};

    /// An enum with every form of variant, and fields of every form.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    enum Event {
        Struct {
            number: u64,
            signed: i64,
            share: f64,
            note: Option<String>,
            flags: Vec<bool>,
            nested: Option<Nested>,
        },
        Newtype(Nested),
        Text(String),
        Maybe(Option<i32>),
        Tuple(u8, String),
        #[serde(rename = "nothing-to-say")]
        Unit,
        Empty {},
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Nested {
        letter: char,
        counts: BTreeMap<String, u32>,
        choice: Choice,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    enum Choice {
        No,
        Yes(u128),
        Perhaps { reason: String },
    }

    impl DomainEvent for Event {
        fn upcasters() -> Upcasters {
            Upcasters::new()
                .upcast("Old", 1, |old: Choice| old)
                .split("Old", 2, |nested: Nested| vec![RawEvent::new("Newtype", 1, &nested)])
                .rename("Older", "Old")
        }
    }

    fn nested() -> impl Strategy<Value = Nested> {
        let choice = prop_oneof![
            Just(Choice::No),
            any::<u128>().prop_map(Choice::Yes),
            any::<String>().prop_map(|reason| Choice::Perhaps { reason }),
        ];
        (any::<char>(), btree_map(any::<String>(), any::<u32>(), 0..20), choice)
            .prop_map(|(letter, counts, choice)| Nested { letter, counts, choice })
    }

    fn event() -> impl Strategy<Value = Event> {
        let fields = (
            any::<u64>(),
            any::<i64>(),
            any::<f64>().prop_filter("equal to itself", |share| !share.is_nan()),
            option::of(any::<String>()),
            vec(any::<bool>(), 0..20),
            option::of(nested()),
        );
        prop_oneof![
            fields.prop_map(|(number, signed, share, note, flags, nested)| Event::Struct {
                number,
                signed,
                share,
                note,
                flags,
                nested
            }),
            nested().prop_map(Event::Newtype),
            any::<String>().prop_map(Event::Text),
            option::of(any::<i32>()).prop_map(Event::Maybe),
            any::<(u8, String)>().prop_map(|(number, text)| Event::Tuple(number, text)),
            Just(Event::Unit),
            Just(Event::Empty {}),
        ]
    }

    fn name() -> impl Strategy<Value = String> {
        const KNOWN: [&str; 9] =
            ["Struct", "Newtype", "Text", "Maybe", "Tuple", "nothing-to-say", "Empty", "Old", "Older"];
        prop_oneof![9 => proptest::sample::select(&KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
    }

    fn codec() -> EventCodec<Event> {
        EventCodec::new().unwrap()
    }

    proptest! {
        #[test]
        fn every_event_comes_back_as_it_was(event in event()) {
            let encoded = codec().encode(&event).unwrap();
            let decoded = codec().decode(encoded.name, encoded.schema_version, &encoded.fields).unwrap();
            prop_assert_eq!(decoded, Decoded::One(event));
        }

        #[test]
        fn every_value_comes_back_as_it_was(event in event()) {
            prop_assert_eq!(decode::<Event>(&encode(&event).unwrap()).unwrap(), event);
        }

        #[test]
        fn any_bytes_are_read_or_refused(name in name(), schema_version in 0..4u32, bytes in vec(any::<u8>(), 0..200)) {
            let _ = codec().decode(&name, schema_version, &bytes);
            let _ = decode::<Event>(&bytes);
        }

        #[test]
        fn a_damaged_event_is_read_or_refused(event in event(), at in any::<proptest::sample::Index>(), byte: u8) {
            let mut encoded = codec().encode(&event).unwrap();
            let at = at.index(encoded.fields.len());
            encoded.fields[at] = byte;
            let _ = codec().decode(encoded.name, encoded.schema_version, &encoded.fields);
        }

        #[test]
        fn an_event_that_was_cut_off_or_continued_is_refused(event in event(), more in vec(any::<u8>(), 1..4)) {
            let encoded = codec().encode(&event).unwrap();
            for length in 0..encoded.fields.len() {
                prop_assert!(codec().decode(encoded.name, 1, &encoded.fields[..length]).is_err());
            }
            prop_assert!(codec().decode(encoded.name, 1, &[encoded.fields, more].concat()).is_err());
        }
    }

    #[test]
    fn bytes_nested_without_end_are_refused() {
        // {"x": [[[[…: an unknown field is skipped, and that must not exhaust the stack.
        let nested = [&[0x81, 0xa1, b'x'][..], &[0x91; 100_000]].concat();
        assert!(codec().decode("Empty", 1, &nested).is_err());
        assert!(codec().decode("Struct", 1, &nested).is_err());
    }

    #[test]
    fn a_name_longer_than_its_short_form_is_found() {
        #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        enum Long {
            ANameThatIsLongerThanThirtyOneCharacters,
            AnotherNameThatIsLongerThanThirtyOneCharacters { field: u8 },
        }
        impl DomainEvent for Long {}

        let codec = EventCodec::new().unwrap();
        for event in [
            Long::ANameThatIsLongerThanThirtyOneCharacters,
            Long::AnotherNameThatIsLongerThanThirtyOneCharacters { field: 1 },
        ] {
            let encoded = codec.encode(&event).unwrap();
            assert_eq!(codec.decode(encoded.name, 1, &encoded.fields).unwrap(), Decoded::One(event));
        }
    }

    #[test]
    fn an_event_whose_names_differ_between_writing_and_reading_is_refused_when_written() {
        #[derive(Serialize, Deserialize, JsonSchema)]
        enum Uneven {
            #[serde(rename(serialize = "written", deserialize = "read"))]
            Event {},
        }
        impl DomainEvent for Uneven {}

        let refused = EventCodec::new().unwrap().encode(&Uneven::Event {}).unwrap_err();
        assert!(refused.to_string().ends_with("serialization and deserialization differ in names"), "{refused}");
    }
}

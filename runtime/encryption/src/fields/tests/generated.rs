//! Properties of all values of a type that has every kind of personal field.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dormouse_kernel::{Personal, decode, encode};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::*;
use super::{BINDING, contains, forgotten, key, ring};

/// Every kind of place that a personal value can have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Event {
    Enrolled {
        email: Personal<String>,
        level: u8,
        nickname: Option<Personal<String>>,
        phone: Personal<Option<String>>,
        guardian: Option<Box<Guardian>>,
    },
    Imported(Vec<Guardian>),
    Renamed(Personal<String>),
    Moved(u8, Personal<Address>, String),
    Noted {
        by_name: BTreeMap<String, Personal<String>>,
        by_number: BTreeMap<u32, Vec<Personal<String>>>,
        other: BTreeMap<String, String>,
        contact: Contact,
        untagged: Untagged,
        #[serde(flatten)]
        flat: Flat,
    },
    Left,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Guardian {
    #[serde(rename = "full name")]
    name: Personal<String>,
    since: i64,
    /// A type that contains itself.
    guardian: Option<Box<Guardian>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Address {
    street: String,
    number: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Contact {
    Mail { to: Personal<String> },
    Shop { name: String },
    Nobody,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Untagged {
    Place { address: Personal<Address> },
    Number(u32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Flat {
    telegram: Personal<String>,
    course: String,
}

/// A text that cannot occur by chance.
fn secret() -> impl Strategy<Value = String> {
    "secret-[a-z0-9ä\"/ ]{12,40}"
}

fn open_text() -> impl Strategy<Value = String> {
    "open-[a-z~/#\"é]{0,8}"
}

fn personal() -> impl Strategy<Value = Personal<String>> {
    prop_oneof![9 => secret().prop_map(Personal::Known), 1 => Just(Personal::Forgotten)]
}

fn address() -> impl Strategy<Value = Personal<Address>> {
    (secret(), any::<u32>()).prop_map(|(street, number)| Personal::Known(Address { street, number }))
}

fn guardian() -> impl Strategy<Value = Guardian> {
    let leaf = (personal(), any::<i64>()).prop_map(|(name, since)| Guardian { name, since, guardian: None });
    leaf.prop_recursive(4, 4, 1, |inner| {
        (personal(), any::<i64>(), option::of(inner.prop_map(Box::new))).prop_map(|(name, since, guardian)| Guardian {
            name,
            since,
            guardian,
        })
    })
}

fn contact() -> impl Strategy<Value = Contact> {
    prop_oneof![
        personal().prop_map(|to| Contact::Mail { to }),
        open_text().prop_map(|name| Contact::Shop { name }),
        Just(Contact::Nobody),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    prop_oneof![address().prop_map(|address| Untagged::Place { address }), any::<u32>().prop_map(Untagged::Number),]
}

fn noted() -> impl Strategy<Value = Event> {
    let parts = (
        btree_map(open_text(), personal(), 0..5),
        btree_map(any::<u32>(), vec(personal(), 0..4), 0..4),
        btree_map(open_text(), open_text(), 0..4),
        contact(),
        untagged(),
        (personal(), open_text()).prop_map(|(telegram, course)| Flat { telegram, course }),
    );
    parts.prop_map(|(by_name, by_number, other, contact, untagged, flat)| Event::Noted {
        by_name,
        by_number,
        other,
        contact,
        untagged,
        flat,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let enrolled = (
        personal(),
        any::<u8>(),
        option::of(personal()),
        option::of(secret()),
        option::of(guardian().prop_map(Box::new)),
    );
    prop_oneof![
        enrolled.prop_map(|(email, level, nickname, phone, guardian)| Event::Enrolled {
            email,
            level,
            nickname,
            phone: Personal::Known(phone),
            guardian
        }),
        vec(guardian(), 0..4).prop_map(Event::Imported),
        personal().prop_map(Event::Renamed),
        (any::<u8>(), address(), open_text()).prop_map(|(number, address, text)| Event::Moved(number, address, text)),
        noted(),
        Just(Event::Left),
    ]
}

fn fields() -> PersonalFields {
    static FIELDS: LazyLock<PersonalFields> = LazyLock::new(|| PersonalFields::of::<Event>().expect("they are found"));
    FIELDS.clone()
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened_to_the_same_bytes(event in event()) {
        let (key, fields) = (key(), fields());
        let plain = encode(&event).unwrap();
        let mut payload = plain.clone();
        let sealed = fields.seal(&mut payload, &key, &BINDING).unwrap();
        prop_assert_eq!(sealed == 0, payload == plain);
        prop_assert_eq!(fields.has_values(&plain).unwrap(), sealed > 0);
        prop_assert!(!fields.has_values(&payload).unwrap());
        prop_assert!(!contains(&payload, b"secret"));
        prop_assert_eq!(key_ids(&payload).unwrap(), vec![key.id(); sealed]);
        // Sealed values are not sealed again.
        prop_assert_eq!(fields.seal(&mut payload, &key, &BINDING).unwrap(), 0);

        let opened = open(&mut payload, &ring(&key), &BINDING).unwrap();
        prop_assert_eq!(opened, Opened { values: sealed, forgotten: 0 });
        prop_assert_eq!(payload, plain);
    }

    #[test]
    fn a_document_that_was_sealed_is_opened_to_the_same_text(event in event(), pretty: bool) {
        let (key, fields) = (key(), fields());
        let plain = if pretty { serde_json::to_string_pretty(&event) } else { serde_json::to_string(&event) }.unwrap();
        let mut document = plain.clone();
        let sealed = fields.seal_json(&mut document, &key, &BINDING).unwrap();
        prop_assert_eq!(sealed == 0, document == plain);
        prop_assert_eq!(fields.has_values_json(&plain).unwrap(), sealed > 0);
        prop_assert!(!contains(document.as_bytes(), b"secret"));
        prop_assert_eq!(fields.key_ids_json(&document).unwrap(), vec![key.id(); sealed]);
        prop_assert_eq!(fields.seal_json(&mut document, &key, &BINDING).unwrap(), 0);
        serde_json::from_str::<serde_json::Value>(&document).unwrap();

        let opened = fields.open_json(&mut document, &ring(&key), &BINDING).unwrap();
        prop_assert_eq!(opened, Opened { values: sealed, forgotten: 0 });
        prop_assert_eq!(document, plain);
    }

    #[test]
    fn a_payload_without_its_key_decodes_with_forgotten_values(event in event()) {
        let (key, fields) = (key(), fields());
        let mut payload = encode(&event).unwrap();
        let mut document = serde_json::to_string(&event).unwrap();
        let sealed = fields.seal(&mut payload, &key, &BINDING).unwrap();
        fields.seal_json(&mut document, &key, &BINDING).unwrap();
        let opened = open(&mut payload, &forgotten(&key), &BINDING).unwrap();
        prop_assert_eq!(opened, Opened { values: 0, forgotten: sealed });
        fields.open_json(&mut document, &forgotten(&key), &BINDING).unwrap();
        let from_json: Event = serde_json::from_str(&document).unwrap();
        let from_bytes: Event = decode(&payload).unwrap();
        prop_assert!(from_json == from_bytes);
        prop_assert!(!contains(&encode(&from_bytes).unwrap(), b"secret"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let key = key();
        for mut payload in [bytes.clone(), [&[0x81, 0xa8][..], b"Enrolled", &bytes].concat()] {
            let before = payload.clone();
            if fields().seal(&mut payload, &key, &BINDING).is_err() {
                prop_assert_eq!(&payload, &before);
            }
            let mut payload = before.clone();
            if open(&mut payload, &ring(&key), &BINDING).is_err() {
                prop_assert_eq!(payload, before);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        let key = key();
        for mut document in [text.clone(), format!("{{\"Enrolled\":{text}}}")] {
            let before = document.clone();
            if fields().seal_json(&mut document, &key, &BINDING).is_err() {
                prop_assert_eq!(document, before);
            }
        }
    }

    #[test]
    fn a_damaged_payload_is_opened_to_nothing_else_or_refused(event in event(), at: prop::sample::Index, byte: u8) {
        let (key, fields) = (key(), fields());
        let mut payload = encode(&event).unwrap();
        fields.seal(&mut payload, &key, &BINDING).unwrap();
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = open(&mut payload, &ring(&key), &BINDING);
    }

    #[test]
    fn a_payload_that_was_cut_off_is_refused(event in event()) {
        let (key, fields) = (key(), fields());
        let payload = encode(&event).unwrap();
        for length in 0..payload.len() {
            prop_assert!(fields.seal(&mut payload[..length].to_vec(), &key, &BINDING).is_err());
        }
    }
}

#[test]
fn an_event_without_its_name_has_the_fields_of_its_variant() {
    let (fields, key) = (fields(), key());
    assert!(fields.variant("Left").is_empty());
    assert!(fields.variant("Unknown").is_empty());
    let mut payload = encode(&BTreeMap::from([("email", "ada@example.org"), ("other", "ada@example.org")])).unwrap();
    assert_eq!(fields.variant("Enrolled").seal(&mut payload, &key, &BINDING), Ok(1));
    let mut payload = encode("ada@example.org").unwrap();
    assert_eq!(fields.variant("Renamed").seal(&mut payload, &key, &BINDING), Ok(1));
    assert_eq!(open(&mut payload, &ring(&key), &BINDING).unwrap().values, 1);
    assert_eq!(decode::<String>(&payload).unwrap(), "ada@example.org");
}

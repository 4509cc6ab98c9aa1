//! What is sealed, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_kernel::{Personal, decode, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::*;
use super::{BINDING, Learner, contains, key, learner, ring, sealed};
use crate::secret::SecretKey;

#[test]
fn all_other_bytes_stay_the_same() {
    let key = key();
    let payload = sealed(&learner(), &key);
    let (before, after) = (&b"\x82\xa5email\xc7"[..], &b"\xa5level\x07"[..]);
    assert!(payload.starts_with(before) && payload.ends_with(after), "{payload:02x?}");
    // The extension's length and type, the envelope of 45 bytes more than the value, whose header has one byte.
    assert_eq!(payload.len(), before.len() + 2 + 45 + 16 + after.len());

    let mut document = r#"{ "level" :7, "email":"ada@example.org" , "unknown": [1.50] }"#.to_owned();
    PersonalFields::of::<Learner>().unwrap().seal_json(&mut document, &key, &BINDING).unwrap();
    assert!(document.starts_with(r#"{ "level" :7, "email":{"$sealed":""#), "{document}");
    assert!(document.ends_with(r#""} , "unknown": [1.50] }"#), "{document}");
}

#[test]
fn the_stored_format_is_pinned() {
    let secret = SecretKey::from_bytes(&[7; 32]).unwrap();
    let key = Arc::new(DataKey::new(KeyId::from_bytes(&[9; 16]).unwrap(), &secret).unwrap());
    // What version 1 of the format wrote: it must be read for as long as there are journals.
    let hexadecimal = GOLDEN.split_whitespace().collect::<String>();
    let mut payload: Vec<u8> =
        (0..hexadecimal.len()).step_by(2).map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap()).collect();
    open(&mut payload, &ring(&key), &BINDING).unwrap();
    assert!(decode::<Learner>(&payload).unwrap() == learner());
}

const GOLDEN: &str = "82a5656d61696c c73d7f 01 09090909090909090909090909090909 ff84e9c34919bdf41166fc15
    b7dad728c25ef69e69666e9d3cdd7e8249879ed8412b1afe7582e3bf5e0ab1d9 a56c6576656c07";

#[test]
fn a_value_with_many_bytes_is_sealed() {
    let key = key();
    for bytes in [0, 1, 200, 300, 65_480, 65_600, 200_000] {
        let learner = Learner { email: "x".repeat(bytes).into(), level: 1 };
        let mut payload = sealed(&learner, &key);
        assert!(open(&mut payload, &ring(&key), &BINDING).is_ok());
        assert!(decode::<Learner>(&payload).unwrap() == learner, "{bytes}");
    }
}

#[test]
fn a_whole_payload_is_sealed_with_what_is_sealed_in_it() {
    let (person, journal) = (key(), key());
    let plain = encode(&learner()).unwrap();
    let mut payload = sealed(&learner(), &person);
    seal_whole(&mut payload, &journal, &BINDING).unwrap();
    assert!(!contains(&payload, b"level"));
    assert_eq!(key_ids(&payload).unwrap(), [journal.id()]);

    let mut both = ring(&journal);
    assert_eq!(open(&mut payload, &both, &BINDING), Err(OpenError::NoKey { key: person.id() }));
    both.insert(person.id(), KeyState::Live(Arc::clone(&person)));
    let mut opened = payload.clone();
    assert_eq!(open(&mut opened, &both, &BINDING), Ok(Opened { values: 2, forgotten: 0 }));
    assert_eq!(opened, plain);

    both.insert(person.id(), KeyState::Destroyed);
    assert_eq!(open(&mut payload.clone(), &both, &BINDING), Ok(Opened { values: 1, forgotten: 1 }));
    both.insert(journal.id(), KeyState::Destroyed);
    assert_eq!(open(&mut payload, &both, &BINDING), Err(OpenError::Forgotten { key: journal.id() }));
}

#[test]
fn text_that_resembles_a_sealed_value_stays_what_it_is() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Note {
        by: Personal<String>,
        content: BTreeMap<String, String>,
    }

    let (key, fields) = (key(), PersonalFields::of::<Note>().unwrap());
    let plain = r#"{"by":"Ada","content":{"$sealed":"AAAA"}}"#;
    let mut document = plain.to_owned();
    assert_eq!(fields.seal_json(&mut document, &key, &BINDING), Ok(1));
    assert_eq!(fields.open_json(&mut document, &ring(&key), &BINDING).unwrap().values, 1);
    assert_eq!(document, plain);
    // Where a personal value belongs, it is damage.
    let mut document = r#"{"by":{"$sealed":"AAAA"},"content":{}}"#.to_owned();
    assert_eq!(fields.open_json(&mut document, &ring(&key), &BINDING), Err(OpenError::UnknownFormat { found: 0 }));
    let mut document = r#"{"by":{"$sealed":"!"},"content":{}}"#.to_owned();
    assert_eq!(fields.open_json(&mut document, &ring(&key), &BINDING), Err(Malformed::Damaged.into()));
}

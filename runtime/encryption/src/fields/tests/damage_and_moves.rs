//! What was damaged or moved is refused.

use dormouse_kernel::{Personal, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::*;
use super::{BINDING, key, learner, ring, sealed};
use crate::keyring::Keyring;

#[test]
fn a_value_that_was_moved_to_another_field_or_payload_is_refused() {
    #[derive(Serialize, JsonSchema)]
    struct Two {
        one: Personal<String>,
        two: Personal<String>,
    }

    let key = key();
    let refused = Err(OpenError::NotAuthentic { key: key.id() });
    let payload = sealed(&Two { one: "1".into(), two: "2".into() }, &key);
    let swapped = [&payload[..1], b"\xa3two", &payload[5..]].concat();
    assert_eq!(open(&mut swapped.clone(), &ring(&key), &BINDING), refused);
    for binding in [Binding { version: 4, ..BINDING }, Binding { aggregate_id: "43", ..BINDING }] {
        assert_eq!(open(&mut payload.clone(), &ring(&key), &binding), refused);
    }
}

#[test]
fn a_payload_whose_key_is_not_at_hand_is_refused_and_unchanged() {
    let key = key();
    let payload = sealed(&learner(), &key);
    let mut same = payload.clone();
    assert_eq!(open(&mut same, &Keyring::new(), &BINDING), Err(OpenError::NoKey { key: key.id() }));
    assert_eq!(same, payload);
}

#[test]
fn a_whole_payload_is_not_taken_for_a_value() {
    let key = key();
    let mut payload = encode("text").unwrap();
    seal_whole(&mut payload, &key, &BINDING).unwrap();
    payload[2] = message_pack::FIELD_TAG;
    assert_eq!(open(&mut payload, &ring(&key), &BINDING), Err(OpenError::NotAuthentic { key: key.id() }));
}

#[test]
fn what_nests_without_end_is_refused() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Deep {
        name: Option<Personal<String>>,
        deep: Vec<Deep>,
    }

    let (key, fields) = (key(), PersonalFields::of::<Deep>().unwrap());
    let mut nested = [&b"\x81\xa4deep"[..], &[0x91; 100_000]].concat();
    assert_eq!(fields.seal(&mut nested, &key, &BINDING), Err(Malformed::TooDeep.into()));
    let mut nested = [&b"\x81\xa4deep\x91"[..]; 50_000].concat();
    assert_eq!(fields.seal(&mut nested, &key, &BINDING), Err(Malformed::TooDeep.into()));
    let mut nested = [&[message_pack::FIELD_TAG][..], &[0x91; 100_000]].concat();
    assert!(open(&mut nested, &ring(&key), &BINDING).is_err());
    let mut nested = "{\"deep\":[".repeat(50_000);
    assert_eq!(fields.seal_json(&mut nested, &key, &BINDING), Err(Malformed::Damaged.into()));
    // A list or a map that claims billions of elements.
    for head in [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xdf, 0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(fields.seal(&mut head.to_vec(), &key, &BINDING), Err(Malformed::Damaged.into()));
    }
}

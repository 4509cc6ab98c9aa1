//! Which schemas are compiled, and what is found with them.

use std::collections::BTreeMap;

use dormouse_kernel::{Personal, encode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::*;
use super::{BINDING, key};

#[test]
fn a_schema_with_a_reference_to_nowhere_or_with_personal_names_is_refused() {
    let compile = |schema: serde_json::Value| PersonalFields::from_schema(&Schema::try_from(schema).unwrap());
    let nowhere = serde_json::json!({ "properties": { "a": { "$ref": "#/$defs/Missing" } } });
    assert_eq!(compile(nowhere).unwrap_err(), SchemaError::Reference("#/$defs/Missing".to_owned()));
    let names = serde_json::json!({ "type": "object", "propertyNames": { "anyOf": [{ "x-personal": true }] } });
    assert_eq!(compile(names).unwrap_err(), SchemaError::PersonalKeys(String::new()));
    let escaped = serde_json::json!({
        "properties": { "a": { "$ref": "#/$defs/b~1c%20d" } },
        "$defs": { "b/c d": { "x-personal": true } },
    });
    assert!(!compile(escaped).unwrap().is_empty());
}

#[test]
fn a_place_that_is_personal_in_one_variant_only_is_refused() {
    #[derive(JsonSchema)]
    #[serde(tag = "kind")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Tagged {
        Mail { to: Personal<String> },
        Shop { to: String },
    }

    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Untagged {
        Known(Personal<String>),
        Number(u32),
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Flat {
        level: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, Personal<String>>,
    }

    let refused = |fields: Result<PersonalFields, SchemaError>| match fields {
        Err(SchemaError::Ambiguous(place)) => place,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(PersonalFields::of::<Tagged>()), "/oneOf/1/properties/to");
    assert_eq!(refused(PersonalFields::of::<Vec<Untagged>>()), "/$defs/Untagged/anyOf/1");
    assert!(!PersonalFields::of::<Flat>().unwrap().is_empty());
}

#[test]
fn every_serialized_form_of_a_field_is_found() {
    #[track_caller]
    fn assert_sealed<T: Serialize + DeserializeOwned + JsonSchema>(value: &T, values: usize) {
        let (key, fields) = (key(), PersonalFields::of::<T>().unwrap());
        let mut payload = encode(value).unwrap();
        assert_eq!(fields.seal(&mut payload, &key, &BINDING), Ok(values));
        let mut document = serde_json::to_string(value).unwrap();
        assert_eq!(fields.seal_json(&mut document, &key, &BINDING), Ok(values));
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Newtype(Personal<String>);

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "type", content = "content")]
    enum Adjacent {
        Mail(Personal<String>),
        Nobody,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Renamed {
        first_name: Personal<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_name: Option<Personal<String>>,
        #[serde(rename(serialize = "out", deserialize = "in"))]
        email: Personal<String>,
    }

    let text = || Personal::Known("x".to_owned());
    assert_sealed(&Newtype(text()), 1);
    assert_sealed(&(1_u8, text(), [text(), text()]), 3);
    assert_sealed(&vec![Some(text()), None], 1);
    assert_sealed(&Adjacent::Mail(text()), 1);
    assert_sealed(&Adjacent::Nobody, 0);
    assert_sealed(&Renamed { first_name: text(), last_name: Some(text()), email: text() }, 3);
    assert_sealed(&BTreeMap::from([(1_u64, text())]), 1);
    assert_sealed(&Personal::Known(vec![text(), text()]), 1);
    assert_sealed(&Personal::Known(Personal::Known(7_u8)), 1);
}

#[test]
fn a_type_without_personal_fields_has_none() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Plain {
        Deep { numbers: Option<Vec<u8>>, map: BTreeMap<String, Plain> },
        Unit,
    }

    let fields = PersonalFields::of::<Plain>().unwrap();
    assert!(fields.is_empty());
    // Nothing is even read.
    assert_eq!(fields.seal(&mut vec![0xc1], &key(), &BINDING), Ok(0));
    assert!(fields.variant("Deep").is_empty());
}

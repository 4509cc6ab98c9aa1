use core::net::IpAddr;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::*;
use crate::codec::{decode, encode};
use crate::shape::shape_of;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Address {
    street: String,
    number: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Contact {
    None,
    Mail(String),
    Post { address: Address },
    Both(u8, String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Mail { to: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Newtype(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UnitStruct;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct AllOptional {
    #[serde(default)]
    name: Option<String>,
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

/// A value is written as itself and read again, and the forgotten one too, in a struct, so that what follows is read.
#[track_caller]
fn assert_reads<T: Serialize + DeserializeOwned + Clone + PartialEq + Debug>(value: T) {
    type Row<T> = (Personal<T>, u8);
    assert_eq!(encode(&Personal::Known(value.clone())).unwrap(), encode(&value).unwrap());
    assert_eq!(json(&Personal::Known(value.clone())), json(&value));
    for personal in [Personal::Known(value), Personal::Forgotten] {
        let row = (personal, 7);
        let packed: Row<T> = decode(&encode(&row).unwrap()).unwrap();
        assert!(packed == row, "{:?} from MessagePack", row.0.known());
        let text = json(&row);
        let parsed: Row<T> = serde_json::from_str(&text).unwrap();
        assert!(parsed == row, "{text}");
        let value: Row<T> = serde_json::from_value(serde_json::to_value(&row).unwrap()).unwrap();
        assert!(value == row, "{text} as a tree");
    }
}

#[test]
fn a_value_is_written_as_itself_and_a_forgotten_one_can_take_its_place() {
    assert_reads("Ada".to_owned());
    assert_reads(String::new());
    assert_reads('ä');
    assert_reads(true);
    assert_reads(u64::MAX);
    assert_reads(-5_i8);
    assert_reads(1.5_f64);
    assert_reads(3.0_f64);
    assert_reads(());
    assert_reads(UnitStruct);
    assert_reads(Some("Ada".to_owned()));
    assert_reads(None::<String>);
    assert_reads(Newtype("Ada".to_owned()));
    assert_reads(Some(Newtype("Ada".to_owned())));
    assert_reads(vec!["a".to_owned(), "b".to_owned()]);
    assert_reads(Vec::<u8>::new());
    assert_reads((1_u8, "two".to_owned()));
    assert_reads([1_u8, 2]);
    assert_reads(HashSet::from([1_u32]));
    assert_reads(Address { street: "Long".to_owned(), number: 4 });
    assert_reads(Contact::None);
    assert_reads(Contact::Mail("a@b.c".to_owned()));
    assert_reads(Contact::Post { address: Address::default() });
    assert_reads(Contact::Both(1, "x".to_owned()));
    assert_reads(Tagged::Mail { to: "x".to_owned() });
    assert_reads(Untagged::Number(4));
    assert_reads(Untagged::Text("x".to_owned()));
}

#[test]
fn maps_with_keys_of_any_kind_are_read() {
    assert_reads(BTreeMap::<String, u8>::new());
    assert_reads(BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    assert_reads(BTreeMap::from([(1_u64, 1), (2, 2)]));
    assert_reads(BTreeMap::from([(-1_i32, 1), (2, 2)]));
    assert_reads(BTreeMap::from([(Newtype("a".to_owned()), 1)]));
    assert_reads(BTreeMap::from([(true, 1)]));
}

#[test]
fn values_with_another_form_in_binary_formats_are_read() {
    assert_reads("10.0.0.1".parse::<IpAddr>().unwrap());
    assert_reads("fe80::1".parse::<IpAddr>().unwrap());
    assert_reads(Uuid::from_u128(77));
    assert_reads(jiff::Timestamp::UNIX_EPOCH);
}

#[test]
fn a_struct_without_required_fields_is_not_taken_for_a_forgotten_value() {
    assert_eq!(serde_json::from_str::<Personal<AllOptional>>("{}").unwrap().into_known(), Some(AllOptional::default()));
    assert!(serde_json::from_str::<Personal<AllOptional>>(r#"{"forgotten":true}"#).unwrap().is_forgotten());
}

#[test]
fn what_only_resembles_a_forgotten_value_is_refused() {
    for text in [
        r#"{"forgotten":false}"#,
        r#"{"forgotten":true,"more":1}"#,
        r#"{"forgotten":1}"#,
        r#"{"other":true}"#,
        "{}",
        "true",
        "null",
    ] {
        assert!(serde_json::from_str::<Personal<String>>(text).is_err(), "{text}");
        assert!(serde_json::from_str::<Personal<Address>>(text).is_err(), "{text}");
        assert!(serde_json::from_str::<Personal<Contact>>(text).is_err(), "{text}");
    }
}

#[test]
fn an_error_names_what_was_expected() {
    let error = serde_json::from_str::<Personal<Address>>(r#"{"street":"a","number":"b"}"#).unwrap_err();
    assert!(error.to_string().contains("expected u32"), "{error}");
}

#[test]
fn debug_never_shows_the_value() {
    let name: Personal<String> = "Ada".into();
    assert_eq!(format!("{name:?} {:?}", Personal::<String>::Forgotten), "Known(***) Forgotten");
    assert_eq!(format!("{:?}", vec![Some(name)]), "[Some(Known(***))]");
}

#[test]
fn a_schema_marks_the_field_and_has_both_forms() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Learner {
        /// The full name.
        name: Personal<String>,
        address: Option<Personal<Address>>,
        level: u8,
    }

    let schema = schema_for!(Learner).to_value();
    let name = &schema["properties"]["name"];
    assert_eq!(name[PERSONAL_EXTENSION], true);
    assert_eq!(name["description"], "The full name.");
    assert_eq!(name["anyOf"][0]["type"], "string");
    assert_eq!(name["anyOf"][1]["properties"]["forgotten"]["const"], true);
    assert!(json(&schema["properties"]["address"]).contains(r#""x-personal":true"#));
    assert!(!json(&schema["properties"]["level"]).contains("x-personal"));
}

#[test]
fn the_shape_of_a_personal_value_is_that_of_the_value() {
    #[derive(Default, Serialize, Deserialize)]
    struct Plain {
        address: Address,
    }
    #[derive(Default, Serialize, Deserialize)]
    struct Marked {
        address: Personal<Address>,
    }
    #[derive(Default, Serialize, Deserialize)]
    struct Other {
        address: Personal<String>,
    }
    assert_eq!(shape_of::<Plain>(), shape_of::<Marked>());
    assert_ne!(shape_of::<Marked>(), shape_of::<Other>());
    assert!(serde_json::from_str::<Personal<String>>(r#"{"forgotten":true}"#).unwrap().is_forgotten());
}

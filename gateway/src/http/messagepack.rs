//! Converts MessagePack into JSON without knowing its type.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON value that is read from a format with more types: bytes become base64 text, keys that are not text become the
/// text of their JSON, and numbers that JSON does not have (not-a-number, infinities) become text.
pub(super) struct Json(pub(super) Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(STANDARD.encode(value).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Json(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((Json(key), Json(value))) = entries.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            object.insert(key, value);
        }
        Ok(object.into())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        // Extension types arrive here: (number, bytes).
        let (Json(_), variant) = data.variant()?;
        variant.newtype_variant::<Json>().map(|Json(value)| value).map_err(|_| A::Error::custom("unknown extension"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dormouse_kernel::{decode, encode};
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    fn json_of(value: &impl Serialize) -> Value {
        decode::<Json>(&encode(value).unwrap()).unwrap().0
    }

    struct Bytes(&'static [u8]);

    impl Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    #[test]
    fn a_value_from_json_is_unchanged_when_it_is_read_back() {
        let value = json!({"a": [1, -2, 1.5, true, null, "ü"], "b": {"c": {}}, "big": u64::MAX, "low": i64::MIN});
        assert_eq!(json_of(&value), value);
    }

    #[test]
    fn values_that_json_does_not_have_become_text() {
        assert_eq!(json_of(&Bytes(b"hello")), json!("aGVsbG8="));
        assert_eq!(json_of(&f64::NAN), json!("NaN"));
        assert_eq!(json_of(&f64::INFINITY), json!("inf"));
        assert_eq!(json_of(&BTreeMap::from([(7, "seven"), (8, "eight")])), json!({"7": "seven", "8": "eight"}));
        assert_eq!(json_of(&BTreeMap::from([((1, true), 2)])), json!({"[1,true]": 2}));
    }
}

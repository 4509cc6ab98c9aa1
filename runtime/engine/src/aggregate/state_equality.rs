//! Whether two states are equal, for types that do not implement `PartialEq`.

use std::fmt;

use dormouse_kernel::{CodecError, decode, encode};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Whether two states have the same encoding. The order of elements and entries does not count, because that of a hash
/// map or set differs from one encoding to the next.
pub(super) fn states_equal<A: Serialize>(one: &A, other: &A) -> Result<bool, CodecError> {
    let (one, other) = (encode(one)?, encode(other)?);
    Ok(one == other || decode::<CanonicalValue>(&one)? == decode::<CanonicalValue>(&other)?)
}

/// A value in MessagePack with its elements and entries sorted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CanonicalValue {
    Nil,
    Bool(bool),
    Integer(i128),
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
    Sequence(Vec<CanonicalValue>),
    Map(Vec<(CanonicalValue, CanonicalValue)>),
}

impl<'de> Deserialize<'de> for CanonicalValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CanonicalVisitor)
    }
}

struct CanonicalVisitor;

impl<'de> Visitor<'de> for CanonicalVisitor {
    type Value = CanonicalValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Float(value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Text(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<CanonicalValue, E> {
        Ok(CanonicalValue::Bytes(value.to_vec()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<CanonicalValue, S::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        values.sort_unstable();
        Ok(CanonicalValue::Sequence(values))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<CanonicalValue, M::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        entries.sort_unstable();
        Ok(CanonicalValue::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn the_order_of_a_hash_map_or_set_does_not_count() {
        let state = || {
            let map: HashMap<String, HashSet<u64>> =
                (0..50_u64).map(|key| (key.to_string(), (0..key).collect())).collect();
            (map, -1, 0.5, Some(true), "text", None::<u8>)
        };
        assert_eq!(states_equal(&state(), &state()), Ok(true));
    }

    #[test]
    fn a_value_that_differs_anywhere_makes_the_states_differ() {
        let state = |value: i64| HashMap::from([("a", vec![(1, 2), (3, value)])]);
        assert_eq!(states_equal(&state(4), &state(5)), Ok(false));
        assert_eq!(states_equal(&state(i64::MIN), &state(i64::MIN)), Ok(true));
    }
}

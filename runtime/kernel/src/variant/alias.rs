//! Whether two names belong to the same variant: one that was renamed is still found by its `#[serde(alias)]`.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::variant_names;

/// Whether serde reads both names as the same variant of `E`.
///
/// Of an enum whose `Deserialize` is written by hand, two different names are never the same.
#[must_use]
pub fn is_same_variant<'de, E: Deserialize<'de>>(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (Some(found), Some(expected)) = (identity::<E>(one), identity::<E>(other)) else { return false };
    // What reads names as something else than an enum gives all of them the same identity, which says nothing.
    let tells_apart =
        || variant_names::<E>().is_ok_and(|all| all.iter().any(|name| identity::<E>(name) != Some(found)));
    found == expected && tells_apart()
}

/// What serde's derive makes of a variant's name: another value of an enum without fields for each variant.
fn identity<'de, E: Deserialize<'de>>(name: &str) -> Option<u64> {
    let found = Cell::new(None);
    // The probe always fails; what counts is what the name became.
    let _refused = E::deserialize(Probe { name, found: &found });
    found.get()
}

#[derive(Clone, Copy)]
struct Probe<'n> {
    name: &'n str,
    found: &'n Cell<Option<u64>>,
}

#[derive(Debug)]
struct Probed;

impl fmt::Display for Probed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("only asked for one of its variants")
    }
}

impl std::error::Error for Probed {}

impl de::Error for Probed {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Probed> {
        Err(Probed)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Probed> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Probe<'_> {
    type Error = Probed;
    type Variant = Nowhere;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Nowhere), Probed> {
        let name: StrDeserializer<'_, Probed> = self.name.into_deserializer();
        let variant = seed.deserialize(name)?;
        let mut hasher = DefaultHasher::new();
        discriminant(&variant).hash(&mut hasher);
        self.found.set(Some(hasher.finish()));
        Err(Probed)
    }
}

/// There are no fields: the probe stops before them.
struct Nowhere;

impl<'de> VariantAccess<'de> for Nowhere {
    type Error = Probed;

    fn unit_variant(self) -> Result<(), Probed> {
        Err(Probed)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _seed: S) -> Result<S::Value, Probed> {
        Err(Probed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, _visitor: V) -> Result<V::Value, Probed> {
        Err(Probed)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Probed> {
        Err(Probed)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only its names count")]
    enum Command {
        #[serde(alias = "CreateOrder", alias = "NewOrder")]
        PlaceOrder {
            customer: String,
        },
        Confirm,
    }

    #[derive(Deserialize)]
    enum Only {
        #[serde(alias = "Former")]
        One,
    }

    #[test]
    fn a_former_name_and_todays_are_the_same_variant() {
        for (one, other) in [("CreateOrder", "PlaceOrder"), ("PlaceOrder", "NewOrder"), ("CreateOrder", "NewOrder")] {
            assert!(is_same_variant::<Command>(one, other), "{one} {other}");
        }
        assert!(is_same_variant::<Command>("Gone", "Gone"));
    }

    #[test]
    fn other_and_unknown_names_are_not() {
        for (one, other) in [("CreateOrder", "Confirm"), ("PlaceOrder", "Confirm"), ("Gone", "Confirm")] {
            assert!(!is_same_variant::<Command>(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_type_that_gives_all_names_the_same_identity_says_nothing() {
        assert!(!is_same_variant::<Only>("One", "Former"));
        assert!(!is_same_variant::<String>("One", "Former"));
    }
}

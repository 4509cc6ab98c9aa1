//! Whether two names belong to the same variant. A variant that was renamed is still found by its `#[serde(alias)]`.

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
/// Two different names of an enum whose `Deserialize` is written by hand are never the same.
#[must_use]
pub fn is_same_variant<'de, E: Deserialize<'de>>(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (Some(found), Some(expected)) = (identity::<E>(one), identity::<E>(other)) else { return false };
    // A type that does not read names as an enum gives all of them the same identity, which proves nothing.
    let distinguishes =
        || variant_names::<E>().is_ok_and(|all| all.iter().any(|name| identity::<E>(name) != Some(found)));
    found == expected && distinguishes()
}

/// The value that serde's derive makes of a variant's name. It makes another value of an internal enum for each
/// variant.
fn identity<'de, E: Deserialize<'de>>(name: &str) -> Option<u64> {
    let found = Cell::new(None);
    // The probe always fails. It records the value that the name became.
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
        formatter.write_str("the probe only asks for one variant")
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

/// Stops the probe before the fields.
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
    fn a_former_name_and_the_current_one_are_the_same_variant() {
        for (one, other) in [("CreateOrder", "PlaceOrder"), ("PlaceOrder", "NewOrder"), ("CreateOrder", "NewOrder")] {
            assert!(is_same_variant::<Command>(one, other), "{one} {other}");
        }
        assert!(is_same_variant::<Command>("Gone", "Gone"));
    }

    #[test]
    fn names_of_other_variants_and_unknown_names_are_not_the_same_variant() {
        for (one, other) in [("CreateOrder", "Confirm"), ("PlaceOrder", "Confirm"), ("Gone", "Confirm")] {
            assert!(!is_same_variant::<Command>(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_type_that_gives_all_names_the_same_identity_proves_nothing() {
        assert!(!is_same_variant::<Only>("One", "Former"));
        assert!(!is_same_variant::<String>("One", "Former"));
    }
}

//! Enum variants by name: finds the variant for a command's path segment or an event's stored name.
//!
//! Commands and events are ordinary serde enums. This module makes a variant of a name and fields in any format, and
//! finds the name of a variant.

mod alias;
mod name;

use std::cell::Cell;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

pub use alias::is_same_variant;
pub use name::variant_name;

/// The type is not an enum in serde's default representation (variants by name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} must be an enum in serde's default, externally tagged representation")]
pub struct NotAnEnum(pub &'static str);

/// The variant of `E` called `name`, its fields read from `fields`.
///
/// # Errors
/// The error of the format: an unknown variant, or a missing or wrong field.
pub fn decode_variant<'de, E: Deserialize<'de>, D: Deserializer<'de>>(name: &str, fields: D) -> Result<E, D::Error> {
    E::deserialize(Variant { name, fields })
}

/// The names of the variants of `E` in order, as serde writes them (after `#[serde(rename)]`).
///
/// # Errors
/// If `E` is not an enum with variants by name.
pub fn variant_names<'de, E: Deserialize<'de>>() -> Result<&'static [&'static str], NotAnEnum> {
    let names = Cell::new(None);
    // The probe always fails. It records which variants the type asks for.
    let _refused = E::deserialize(Probe(&names));
    names.get().ok_or(NotAnEnum(std::any::type_name::<E>()))
}

/// `CreateOrder` → `create-order`: the name of a command in a URL.
#[must_use]
pub fn kebab_case(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 4);
    let mut previous = '-';
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let starts_word = character.is_uppercase()
            && (!previous.is_uppercase() || characters.peek().is_some_and(|next| next.is_lowercase()));
        if character == '_' || starts_word && previous != '-' && previous != '_' {
            kebab.push('-');
        }
        if character != '_' {
            kebab.extend(character.to_lowercase());
        }
        previous = character;
    }
    kebab
}

struct Variant<'n, D> {
    name: &'n str,
    fields: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Variant<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, D::Error> {
        Err(de::Error::custom("expected an externally tagged enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'n, 'de, D: Deserializer<'de>> EnumAccess<'de> for Variant<'n, D> {
    type Error = D::Error;
    type Variant = Fields<D>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Fields<D>), D::Error> {
        let name: StrDeserializer<'n, D::Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Fields(self.fields)))
    }
}

struct Fields<D>(D);

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Fields<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        self.0.deserialize_any(NoFields)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}

/// Accepts nil or an empty map only, because a variant without fields must not get any.
struct NoFields;

impl<'de> Visitor<'de> for NoFields {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("no fields")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match map.next_key::<String>()? {
            None => Ok(()),
            Some(field) => Err(de::Error::unknown_field(&field, &[])),
        }
    }
}

struct Probe<'c>(&'c Cell<Option<&'static [&'static str]>>);

#[derive(Debug)]
struct Probed(PhantomData<()>);

impl std::fmt::Display for Probed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the probe only asks for the variants")
    }
}

impl std::error::Error for Probed {}

impl de::Error for Probed {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        Self(PhantomData)
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Probed> {
        Err(Probed(PhantomData))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Probed> {
        self.0.set(Some(variants));
        Err(Probed(PhantomData))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Command {
        CreateOrder { customer: String },
        Confirm,
        Move(Target),
        Set(u8, u8),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Target {
        to: u8,
    }

    fn decoded(name: &str, fields: &impl Serialize) -> Result<Command, rmp_serde::decode::Error> {
        let bytes = rmp_serde::to_vec_named(fields).unwrap();
        decode_variant(name, &mut rmp_serde::Deserializer::from_read_ref(&bytes))
    }

    #[test]
    fn every_form_of_variant_is_found_by_its_name() {
        let customer = std::collections::BTreeMap::from([("customer", "c-1")]);
        assert_eq!(decoded("CreateOrder", &customer).unwrap(), Command::CreateOrder { customer: "c-1".to_owned() });
        assert_eq!(decoded("Confirm", &()).unwrap(), Command::Confirm);
        assert_eq!(decoded("Move", &Target { to: 3 }).unwrap(), Command::Move(Target { to: 3 }));
        assert_eq!(decoded("Set", &(1, 2)).unwrap(), Command::Set(1, 2));
    }

    #[test]
    fn an_unknown_variant_or_a_field_too_many_is_an_error() {
        assert!(decoded("Cancel", &()).is_err());
        assert!(decoded("Confirm", &Target { to: 3 }).unwrap_err().to_string().contains("`to`"));
    }

    #[test]
    fn variants_are_listed_without_an_instance() {
        assert_eq!(variant_names::<Command>(), Ok(&["CreateOrder", "Confirm", "Move", "Set"][..]));
        assert!(variant_names::<Target>().is_err());
    }

    #[test]
    fn command_names_become_path_segments() {
        for (name, segment) in [
            ("CreateOrder", "create-order"),
            ("Confirm", "confirm"),
            ("SetHTTPRoute", "set-http-route"),
            ("add_line", "add-line"),
            ("already-kebab", "already-kebab"),
            ("V2Import", "v2-import"),
        ] {
            assert_eq!(kebab_case(name), segment);
        }
    }
}

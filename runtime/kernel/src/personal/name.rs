//! The first key of a map, or the name of a variant: read before it is known what it is.

use std::fmt;

use serde::de::value::{BytesDeserializer, StringDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Visitor};

use super::FORGOTTEN_KEY;

/// A key or a name, of the kinds that JSON and MessagePack can have.
#[derive(Debug)]
pub(super) enum Name {
    Text(String),
    Bytes(Vec<u8>),
    Unsigned(u64),
    Signed(i64),
    Bool(bool),
}

impl Name {
    pub(super) fn is_mark(&self) -> bool {
        matches!(self, Self::Text(text) if text == FORGOTTEN_KEY)
    }

    pub(super) fn into_deserializer<E>(self) -> NameDeserializer<E> {
        NameDeserializer { name: self, error: std::marker::PhantomData }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, bytes, an integer or a boolean")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Name, E> {
                Ok(Name::Text(text))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
                Ok(Name::Bytes(bytes.to_vec()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Name, E> {
                Ok(Name::Unsigned(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Name, E> {
                Ok(Name::Signed(number))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Name, E> {
                Ok(Name::Bool(value))
            }
        }

        from.deserialize_any(Any)
    }
}

/// Gives a name to the type that wanted it.
pub(super) struct NameDeserializer<E> {
    name: Name,
    error: std::marker::PhantomData<E>,
}

/// JSON writes numbers as keys in quotes.
macro_rules! numbers {
    ($($method:ident $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            match &self.name {
                Name::Text(text) => match text.parse() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => self.deserialize_any(visitor),
                },
                _ => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de, E: Error> Deserializer<'de> for NameDeserializer<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.name {
            Name::Text(text) => visitor.visit_string(text),
            Name::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Name::Unsigned(number) => visitor.visit_u64(number),
            Name::Signed(number) => visitor.visit_i64(number),
            Name::Bool(value) => visitor.visit_bool(value),
        }
    }

    numbers! {
        deserialize_i8 visit_i64;
        deserialize_i16 visit_i64;
        deserialize_i32 visit_i64;
        deserialize_i64 visit_i64;
        deserialize_i128 visit_i128;
        deserialize_u8 visit_u64;
        deserialize_u16 visit_u64;
        deserialize_u32 visit_u64;
        deserialize_u64 visit_u64;
        deserialize_u128 visit_u128;
        deserialize_bool visit_bool;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        match self.name {
            Name::Text(text) => {
                let text: StringDeserializer<E> = text.into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            Name::Bytes(bytes) => BytesDeserializer::new(&bytes).deserialize_any(visitor),
            Name::Unsigned(_) | Name::Signed(_) | Name::Bool(_) => Err(E::custom("a variant has a name")),
        }
    }

    serde::forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

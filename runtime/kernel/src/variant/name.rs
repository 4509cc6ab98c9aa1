//! The name of a value's variant. The serializer stops at the name and does not write the value.

use std::fmt;

use serde::Serialize;
use serde::ser::{Error, Impossible, Serializer};

/// The name of the variant that `value` is, as serde writes it. `None` if it is not an enum in serde's default
/// representation.
#[must_use]
pub fn variant_name<T: Serialize + ?Sized>(value: &T) -> Option<&'static str> {
    match value.serialize(Namer) {
        Err(Stopped::AtVariant(name)) => Some(name),
        Ok(()) | Err(Stopped::Elsewhere) => None,
    }
}

struct Namer;

#[derive(Debug)]
enum Stopped {
    AtVariant(&'static str),
    Elsewhere,
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the serializer only asks for the name")
    }
}

impl std::error::Error for Stopped {}

impl Error for Stopped {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Elsewhere
    }
}

macro_rules! elsewhere {
    ($($method:ident($($type:ty),*) -> $returned:ty;)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<$returned, Stopped> { Err(Stopped::Elsewhere) })*
    };
}

impl Serializer for Namer {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Impossible<(), Stopped>;
    type SerializeTuple = Impossible<(), Stopped>;
    type SerializeTupleStruct = Impossible<(), Stopped>;
    type SerializeTupleVariant = Impossible<(), Stopped>;
    type SerializeMap = Impossible<(), Stopped>;
    type SerializeStruct = Impossible<(), Stopped>;
    type SerializeStructVariant = Impossible<(), Stopped>;

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Stopped> {
        Err(Stopped::AtVariant(variant))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), Stopped> {
        Err(Stopped::AtVariant(variant))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Stopped>, Stopped> {
        Err(Stopped::AtVariant(variant))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Stopped>, Stopped> {
        Err(Stopped::AtVariant(variant))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Stopped> {
        Err(Stopped::Elsewhere)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Stopped> {
        Err(Stopped::Elsewhere)
    }

    elsewhere! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Impossible<(), Stopped>;
        serialize_tuple(usize) -> Impossible<(), Stopped>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), Stopped>;
        serialize_map(Option<usize>) -> Impossible<(), Stopped>;
        serialize_struct(&'static str, usize) -> Impossible<(), Stopped>;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum Command {
        Struct {
            field: u8,
        },
        Newtype(u8),
        Tuple(u8, u8),
        #[serde(rename = "nothing")]
        Unit,
    }

    #[test]
    fn every_form_of_variant_has_its_name() {
        let commands = [Command::Struct { field: 1 }, Command::Newtype(1), Command::Tuple(1, 2), Command::Unit];
        let names: Vec<_> = commands.iter().map(variant_name).collect();
        assert_eq!(names, [Some("Struct"), Some("Newtype"), Some("Tuple"), Some("nothing")]);
    }

    #[test]
    fn a_value_that_is_no_enum_has_no_name() {
        assert_eq!(variant_name("text"), None);
        assert_eq!(variant_name(&[1, 2]), None);
        assert_eq!(variant_name(&Some(1)), None);
    }
}

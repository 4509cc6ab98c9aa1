//! A deserializer without input, which records what a type asks for.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// How deep a type is traced. Recursive types would have no end.
const DEPTH: u8 = 8;

/// Texts that parsers of common formats accept.
const SAMPLES: [&str; 8] = [
    "a",
    "a@example.org",
    "2026-01-01T00:00:00Z",
    "00000000-0000-4000-8000-000000000000",
    "1",
    "example.org",
    "",
    "AAAA",
];

/// Gives a type a sample for each of its requests, and records the request.
#[derive(Clone, Copy)]
pub(super) struct Tracer<'t> {
    requests: &'t RefCell<String>,
    pass: usize,
    depth: u8,
}

/// The type refused a sample, or there was none.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the sample was refused")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl<'t> Tracer<'t> {
    /// A tracer that adds to `requests`. The number of the pass chooses among variants and sample texts.
    pub(super) const fn new(requests: &'t RefCell<String>, pass: usize) -> Self {
        Self { requests, pass, depth: 0 }
    }

    fn record(&self, what: &str) {
        let mut requests = self.requests.borrow_mut();
        requests.push_str(what);
        requests.push(' ');
    }

    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn is_deep(&self) -> bool {
        self.depth >= DEPTH
    }
}

macro_rules! scalars {
    ($($method:ident $visit:ident $value:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            self.record(stringify!($visit));
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Refused;

    scalars! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_char visit_char 'a';
        deserialize_bytes visit_bytes &[];
        deserialize_byte_buf visit_byte_buf Vec::new();
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.record("text");
        visitor.visit_str(SAMPLES[self.pass % SAMPLES.len()])
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.record("any");
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit identifier ignored_any }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.record("option");
        if self.is_deep() { visitor.visit_none() } else { visitor.visit_some(self.deeper()) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.record("list");
        visitor.visit_seq(Items { tracer: self.deeper(), left: usize::from(!self.is_deep()) })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        self.record(&format!("tuple of {length}"));
        visitor.visit_seq(Items { tracer: self.deeper(), left: length })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.record("map");
        visitor.visit_map(Entries { tracer: self.deeper(), left: usize::from(!self.is_deep()) })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.record(&format!("{fields:?}"));
        visitor.visit_map(Fields { tracer: self.deeper(), fields: fields.iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.record(&format!("one of {variants:?}"));
        let variant = variants.get(self.pass % variants.len().max(1)).ok_or(Refused)?;
        visitor.visit_enum(Chosen { tracer: self.deeper(), variant })
    }
}

/// A sequence of this many elements.
struct Items<'t> {
    tracer: Tracer<'t>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.tracer).map(Some)
    }
}

/// A map of this many entries.
struct Entries<'t> {
    tracer: Tracer<'t>,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.tracer).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self.tracer)
    }
}

/// All fields of a struct.
struct Fields<'t> {
    tracer: Tracer<'t>,
    fields: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.tracer.record(field);
        seed.deserialize(IntoDeserializer::<Refused>::into_deserializer(*field)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self.tracer)
    }
}

/// The chosen variant of an enum.
struct Chosen<'t> {
    tracer: Tracer<'t>,
    variant: &'static str,
}

impl<'t, 'de> EnumAccess<'de> for Chosen<'t> {
    type Error = Refused;
    type Variant = Tracer<'t>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Tracer<'t>), Refused> {
        let variant = seed.deserialize(IntoDeserializer::<Refused>::into_deserializer(self.variant))?;
        Ok((variant, self.tracer))
    }
}

impl<'de> VariantAccess<'de> for Tracer<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refused> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_struct("", fields, visitor)
    }
}

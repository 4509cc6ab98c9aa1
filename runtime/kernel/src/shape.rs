//! The shape of a type as serde sees it: whether bytes that were written of it yesterday mean the same today.
//!
//! A state that gained a field with a default still decodes from yesterday's bytes, and is then wrong without a word. So the
//! names and kinds of all fields are hashed, as the type's `Deserialize` asks for them, together with its default value.
//!
//! What it cannot see: a change of meaning without a change of names and kinds; fields that are read with `flatten` or
//! `untagged`, beyond what the default value shows; and what lies behind a value that refuses every sample text.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};

use crate::encode;

/// How deep a type is looked into: recursive ones end nowhere.
const DEPTH: u8 = 8;

/// Each look chooses another variant of every enum, and another sample text; an enum may have more variants than that, and
/// then the contents of the last ones are not seen, only their names.
const LOOKS: usize = 24;

/// Texts that parsers of common kinds of text take.
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

/// A number that changes with the names and kinds of what `T` is read from, and with its default value.
#[must_use]
pub fn shape_of<T: DeserializeOwned + Serialize + Default>() -> u64 {
    let told = RefCell::new(String::new());
    for look in 0..LOOKS {
        // What it is asked for counts, also when it refuses a sample.
        let _refused = T::deserialize(Tracer { told: &told, look, depth: 0 });
        told.borrow_mut().push('\n');
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(told.borrow().as_bytes());
    // A default that cannot be encoded could not be kept either.
    hasher.update(&encode(&T::default()).unwrap_or_default());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Answers each question of a type with something, and writes the question down.
#[derive(Clone, Copy)]
struct Tracer<'t> {
    told: &'t RefCell<String>,
    look: usize,
    depth: u8,
}

/// A sample was refused, or there was nothing to give.
#[derive(Debug)]
struct Refused;

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

impl Tracer<'_> {
    fn tell(&self, what: &str) {
        let mut told = self.told.borrow_mut();
        told.push_str(what);
        told.push(' ');
    }

    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn is_deep(&self) -> bool {
        self.depth >= DEPTH
    }
}

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            self.tell(stringify!($visit));
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Refused;

    plain! {
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
        self.tell("text");
        visitor.visit_str(SAMPLES[self.look % SAMPLES.len()])
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.tell("any");
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit identifier ignored_any }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.tell("option");
        if self.is_deep() { visitor.visit_none() } else { visitor.visit_some(self.deeper()) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.tell("list");
        visitor.visit_seq(Items { tracer: self.deeper(), left: usize::from(!self.is_deep()) })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        self.tell(&format!("tuple of {length}"));
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
        self.tell("map");
        visitor.visit_map(Entries { tracer: self.deeper(), left: usize::from(!self.is_deep()) })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.tell(&format!("{fields:?}"));
        visitor.visit_map(Fields { tracer: self.deeper(), fields: fields.iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.tell(&format!("one of {variants:?}"));
        let variant = variants.get(self.look % variants.len().max(1)).ok_or(Refused)?;
        visitor.visit_enum(Chosen { tracer: self.deeper(), variant })
    }
}

/// So many elements.
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

/// So many entries of a map.
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

/// The fields of a struct, all of them.
struct Fields<'t> {
    tracer: Tracer<'t>,
    fields: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.tracer.tell(field);
        seed.deserialize(IntoDeserializer::<Refused>::into_deserializer(*field)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self.tracer)
    }
}

/// A variant of an enum.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    macro_rules! state {
        ($name:ident { $($field:tt)* }) => {
            #[derive(Clone, Default, Serialize, Deserialize)]
            #[allow(dead_code, reason = "only its shape counts")]
            struct $name { $($field)* }
        };
    }

    /// A text that refuses most samples.
    #[derive(Clone, Default, Serialize, Deserialize)]
    #[serde(try_from = "String", into = "String")]
    struct Email(String);

    impl TryFrom<String> for Email {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, &'static str> {
            if text.contains('@') { Ok(Self(text)) } else { Err("no at sign") }
        }
    }

    impl From<Email> for String {
        fn from(email: Email) -> Self {
            email.0
        }
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    enum Door {
        #[default]
        Closed,
        Open {
            width: u32,
        },
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    enum WiderDoor {
        #[default]
        Closed,
        Open {
            width: u64,
        },
    }

    state!(Account { balance: u64 });
    state!(SameAccount { balance: u64 });
    state!(WithField {
        balance: u64,
        #[serde(default)]
        limit: u64,
    });
    state!(Renamed {
        #[serde(default, alias = "balance")]
        total: u64,
    });
    state!(Wider { balance: i64 });
    state!(House { door: Option<Door>, });
    state!(WiderHouse { door: Option<WiderDoor>, });
    state!(Book { by: BTreeMap<String, Account>, });
    state!(NewBook { by: BTreeMap<String, WithField>, });
    state!(Person { email: Email, account: Account });
    state!(NewPerson { email: Email, account: WithField });
    state!(List { next: Option<Box<List>>, });

    #[test]
    fn the_shape_is_that_of_names_and_kinds_and_stays() {
        assert_eq!(shape_of::<Account>(), shape_of::<SameAccount>());
        // Pinned: another number here makes every snapshot that is stored be ignored once.
        assert_eq!(shape_of::<Account>(), 4_193_421_748_088_748_001);
    }

    #[test]
    fn a_field_that_is_gained_renamed_or_of_another_kind_changes_it() {
        for other in [shape_of::<WithField>(), shape_of::<Renamed>(), shape_of::<Wider>()] {
            assert_ne!(other, shape_of::<Account>());
        }
    }

    #[test]
    fn so_does_one_inside_an_option_a_variant_a_map_or_behind_a_text_that_is_checked() {
        assert_ne!(shape_of::<House>(), shape_of::<WiderHouse>());
        assert_ne!(shape_of::<Book>(), shape_of::<NewBook>());
        assert_ne!(shape_of::<Person>(), shape_of::<NewPerson>());
    }

    #[test]
    fn a_type_that_contains_itself_has_one_too() {
        assert_ne!(shape_of::<List>(), shape_of::<Account>());
    }
}

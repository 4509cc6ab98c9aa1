//! Reads a value, or the object that takes its place.
//!
//! Serde's way to read one of two forms, an untagged enum, loses what `T` says about its format: an IP address written
//! as MessagePack would not be read. So `T` reads from the format itself, and a visitor in between looks at the first
//! key of a map, and at the name of a variant.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::Personal;
use super::name::Name;

pub(super) fn personal<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Personal<T>, D::Error> {
    let is_forgotten = Cell::new(false);
    let read = T::deserialize(Watched { from, is_forgotten: &is_forgotten });
    if is_forgotten.get() { Ok(Personal::Forgotten) } else { read.map(Personal::Known) }
}

/// A deserializer that notes if there is a forgotten value. It then reports an error to `T`, which nobody sees.
struct Watched<'c, D> {
    from: D,
    is_forgotten: &'c Cell<bool>,
}

/// Both JSON and MessagePack refuse a map at once if they are asked for a scalar. Asked for anything, they read a
/// scalar all the same.
macro_rules! watched_as_anything {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.deserialize_any(visitor)
        })*
    };
}

/// JSON refuses a map at once if it is asked for a list. MessagePack must know that it is asked for one.
macro_rules! watched_lists {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            if self.from.is_human_readable() {
                return self.deserialize_any(visitor);
            }
            let Self { from, is_forgotten } = self;
            known(from.$method($($argument,)* Watcher { visitor, is_forgotten })?)
        })*
    };
}

macro_rules! watched {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let Self { from, is_forgotten } = self;
            known(from.$method($($argument,)* Watcher { visitor, is_forgotten })?)
        })*
    };
}

fn known<T, E: Error>(read: Option<T>) -> Result<T, E> {
    read.ok_or_else(|| E::custom("the value was forgotten"))
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watched<'_, D> {
    type Error = D::Error;

    watched_as_anything! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier
    }

    watched_lists! {
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_unit_struct(name: &'static str);
    }

    watched! {
        deserialize_any();
        deserialize_ignored_any();
        deserialize_i128();
        deserialize_u128();
        deserialize_option();
        deserialize_map();
        deserialize_newtype_struct(name: &'static str);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn is_human_readable(&self) -> bool {
        self.from.is_human_readable()
    }
}

/// The visitor of `T`, and what it makes. `None`: the value was forgotten.
struct Watcher<'c, V> {
    visitor: V,
    is_forgotten: &'c Cell<bool>,
}

impl<V> Watcher<'_, V> {
    fn forgotten<T, E>(&self) -> Result<Option<T>, E> {
        self.is_forgotten.set(true);
        Ok(None)
    }
}

macro_rules! passed_on {
    ($($method:ident($type:ty);)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<Option<V::Value>, E> {
            self.visitor.$method(value).map(Some)
        })*
    };
}

/// `T` may be an option or a newtype: the value is then one step further in.
macro_rules! watched_further {
    ($($method:ident)*) => {
        $(fn $method<D: Deserializer<'de>>(self, from: D) -> Result<Option<V::Value>, D::Error> {
            let Self { visitor, is_forgotten } = self;
            let read = visitor.$method(Watched { from, is_forgotten });
            if is_forgotten.get() { Ok(None) } else { read.map(Some) }
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watcher<'_, V> {
    type Value = Option<V::Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    passed_on! {
        visit_bool(bool); visit_char(char); visit_f32(f32); visit_f64(f64);
        visit_i8(i8); visit_i16(i16); visit_i32(i32); visit_i64(i64); visit_i128(i128);
        visit_u8(u8); visit_u16(u16); visit_u32(u32); visit_u64(u64); visit_u128(u128);
        visit_str(&str); visit_borrowed_str(&'de str); visit_string(String);
        visit_bytes(&[u8]); visit_borrowed_bytes(&'de [u8]); visit_byte_buf(Vec<u8>);
    }

    watched_further! { visit_some visit_newtype_struct }

    fn visit_none<E: Error>(self) -> Result<Option<V::Value>, E> {
        self.visitor.visit_none().map(Some)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<V::Value>, E> {
        self.visitor.visit_unit().map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Option<V::Value>, A::Error> {
        self.visitor.visit_seq(elements).map(Some)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<V::Value>, A::Error> {
        let first: Option<Name> = map.next_key()?;
        if !first.as_ref().is_some_and(Name::is_mark) {
            let is_empty = first.is_none();
            return self.visitor.visit_map(Rest { first, is_empty, map }).map(Some);
        }
        let is_true: bool = map.next_value()?;
        if !is_true || map.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("the key `forgotten` is reserved for {\"forgotten\": true}"));
        }
        self.forgotten()
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Option<V::Value>, A::Error> {
        let (name, variant): (Name, A::Variant) = access.variant()?;
        if !name.is_mark() {
            return self.visitor.visit_enum(Chosen { name, variant }).map(Some);
        }
        let is_true: bool = variant.newtype_variant()?;
        if is_true { self.forgotten() } else { Err(A::Error::custom("the variant `forgotten` is reserved")) }
    }
}

/// A map whose first key was read.
struct Rest<A> {
    first: Option<Name>,
    is_empty: bool,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(first.into_deserializer()).map(Some),
            None if self.is_empty => Ok(None),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint().map(|left| left.saturating_add(usize::from(self.first.is_some())))
    }
}

/// A variant whose name was read.
struct Chosen<A> {
    name: Name,
    variant: A,
}

impl<'de, A: VariantAccess<'de>> EnumAccess<'de> for Chosen<A> {
    type Error = A::Error;
    type Variant = A;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, A), A::Error> {
        let name = seed.deserialize(self.name.into_deserializer())?;
        Ok((name, self.variant))
    }
}

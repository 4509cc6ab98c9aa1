//! Finds values in MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>), without decoding them.

use std::ops::Range;

use dormouse_kernel::limits::NESTING;

use super::path::{Before, Path};
use super::{Found, PersonalFields, StateId};
use crate::error::Malformed;

/// The extension type of a sealed value. Nothing that serde writes has it, and its byte is rare.
pub(super) const FIELD_TAG: u8 = 0x7f;

/// The extension type of a sealed payload.
pub(super) const WHOLE_TAG: u8 = 0x7e;

/// `{"forgotten": true}`.
pub(super) const FORGOTTEN: &[u8] = b"\x81\xa9forgotten\xc3";

/// A sealed value: where it is, and where its envelope is.
pub(super) struct Sealed {
    pub(super) found: Found,
    pub(super) body: Range<usize>,
}

/// An extension of this type.
pub(super) fn extension(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = Vec::with_capacity(6 + length);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) => bytes.extend_from_slice(&[0xc7, length]),
        (_, Ok(length)) => {
            bytes.push(0xc8);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(0xc9);
            // A payload of 4 GiB exceeds every limit long before.
            bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    bytes.push(tag);
    bytes.extend_from_slice(body);
    bytes
}

/// The envelope of a payload that was sealed as a whole.
pub(super) fn whole(payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    // No other value begins like an extension.
    if !matches!(payload.first(), Some(0xc7..=0xc9)) {
        return Ok(None);
    }
    let mut reader = Reader::new(payload);
    match reader.item()? {
        Item::Extension { tag: WHOLE_TAG, body } => {
            reader.end()?;
            Ok(Some(&payload[body]))
        }
        _ => Ok(None),
    }
}

/// The personal values that are neither absent, nor forgotten, nor sealed.
pub(super) fn plain_values(fields: &PersonalFields, payload: &[u8]) -> Result<Vec<Found>, Malformed> {
    let Some(root) = fields.root else { return Ok(Vec::new()) };
    let mut search = Plain { fields, reader: Reader::new(payload), path: Path::default(), found: Vec::new() };
    search.value(root, NESTING)?;
    search.reader.end()?;
    Ok(search.found)
}

/// All sealed values, wherever they are.
pub(super) fn sealed_values(payload: &[u8]) -> Result<Vec<Sealed>, Malformed> {
    // Most payloads do not contain the byte of the extension type at all.
    if memchr::memchr(FIELD_TAG, payload).is_none() {
        return Ok(Vec::new());
    }
    let mut search = AllSealed { reader: Reader::new(payload), path: Path::default(), found: Vec::new() };
    search.value(NESTING)?;
    search.reader.end()?;
    Ok(search.found)
}

struct Plain<'p> {
    fields: &'p PersonalFields,
    reader: Reader<'p>,
    path: Path,
    found: Vec<Found>,
}

impl Plain<'_> {
    fn value(&mut self, state: StateId, depth: usize) -> Result<(), Malformed> {
        let state = &self.fields.states[state];
        let start = self.reader.at;
        if state.is_personal {
            self.reader.skip(depth)?;
            let at = start..self.reader.at;
            let value = &self.reader.bytes[at.clone()];
            if value != [NIL] && value != FORGOTTEN && !is_sealed(value) {
                self.found.push(Found { path: self.path.to_text(), at });
            }
            return Ok(());
        }
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        match self.reader.item()? {
            Item::List(length) => {
                for index in 0..length {
                    let before = self.path.element(index);
                    self.inside(state.element(index), depth)?;
                    self.path.back(before);
                }
            }
            Item::Map(length) => {
                for _ in 0..length {
                    let (before, name) = self.reader.key(&mut self.path, depth)?;
                    self.inside(name.map_or(state.other_fields, |name| state.field(name)), depth)?;
                    self.path.back(before);
                }
            }
            Item::Extension { .. } | Item::Scalar => {}
        }
        Ok(())
    }

    fn inside(&mut self, state: Option<StateId>, depth: usize) -> Result<(), Malformed> {
        match state {
            Some(state) => self.value(state, depth),
            None => self.reader.skip(depth),
        }
    }
}

fn is_sealed(value: &[u8]) -> bool {
    matches!(Reader::new(value).item(), Ok(Item::Extension { tag: FIELD_TAG, .. }))
}

struct AllSealed<'p> {
    reader: Reader<'p>,
    path: Path,
    found: Vec<Sealed>,
}

impl AllSealed<'_> {
    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        let start = self.reader.at;
        match self.reader.item()? {
            Item::Extension { tag: FIELD_TAG, body } => {
                let found = Found { path: self.path.to_text(), at: start..self.reader.at };
                self.found.push(Sealed { found, body });
            }
            Item::List(length) => {
                for index in 0..length {
                    let before = self.path.element(index);
                    self.value(depth)?;
                    self.path.back(before);
                }
            }
            Item::Map(length) => {
                for _ in 0..length {
                    let (before, _) = self.reader.key(&mut self.path, depth)?;
                    self.value(depth)?;
                    self.path.back(before);
                }
            }
            Item::Extension { .. } | Item::Scalar => {}
        }
        Ok(())
    }
}

const NIL: u8 = 0xc0;

/// The beginning of a value. A scalar and an extension are whole values.
#[derive(Debug)]
enum Item {
    List(usize),
    Map(usize),
    Extension { tag: u8, body: Range<usize> },
    Scalar,
}

struct Reader<'p> {
    bytes: &'p [u8],
    at: usize,
}

impl<'p> Reader<'p> {
    const fn new(bytes: &'p [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Nothing may follow the value.
    const fn end(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed::Damaged) }
    }

    fn take(&mut self, length: usize) -> Result<&'p [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed::Damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed::Damaged)?;
        self.at = end;
        Ok(taken)
    }

    /// A number of so many bytes, big-endian.
    fn length(&mut self, bytes: usize) -> Result<usize, Malformed> {
        let number = self.take(bytes)?.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| Malformed::Damaged)
    }

    fn scalar(&mut self, length: usize) -> Result<Item, Malformed> {
        self.take(length)?;
        Ok(Item::Scalar)
    }

    fn extension(&mut self, length: usize) -> Result<Item, Malformed> {
        let tag = self.take(1)?[0];
        let start = self.at;
        self.take(length)?;
        Ok(Item::Extension { tag, body: start..self.at })
    }

    fn item(&mut self) -> Result<Item, Malformed> {
        let marker = self.take(1)?[0];
        match marker {
            0x00..=0x7f | NIL | 0xc2 | 0xc3 | 0xe0..=0xff => Ok(Item::Scalar),
            0x80..=0x8f => Ok(Item::Map(usize::from(marker & 0x0f))),
            0x90..=0x9f => Ok(Item::List(usize::from(marker & 0x0f))),
            0xa0..=0xbf => self.scalar(usize::from(marker & 0x1f)),
            0xc1 => Err(Malformed::Damaged),
            // Bytes and texts.
            0xc4..=0xc6 => self.length(1 << (marker - 0xc4)).and_then(|length| self.scalar(length)),
            0xd9..=0xdb => self.length(1 << (marker - 0xd9)).and_then(|length| self.scalar(length)),
            0xc7..=0xc9 => self.length(1 << (marker - 0xc7)).and_then(|length| self.extension(length)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4)),
            // Numbers.
            0xca => self.scalar(4),
            0xcb => self.scalar(8),
            0xcc..=0xcf => self.scalar(1 << (marker - 0xcc)),
            0xd0..=0xd3 => self.scalar(1 << (marker - 0xd0)),
            0xdc | 0xdd => self.length(2 << (marker - 0xdc)).map(Item::List),
            0xde | 0xdf => self.length(2 << (marker - 0xde)).map(Item::Map),
        }
    }

    fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        let inside = match self.item()? {
            Item::List(length) => length,
            Item::Map(length) => length.checked_mul(2).ok_or(Malformed::Damaged)?,
            Item::Extension { .. } | Item::Scalar => 0,
        };
        (0..inside).try_for_each(|_| self.skip(depth))
    }

    /// A key of a map, as a step of the path. `None`: the key is no text.
    fn key(&mut self, path: &mut Path, depth: usize) -> Result<(Before, Option<&'p str>), Malformed> {
        let start = self.at;
        self.skip(depth)?;
        let key = &self.bytes[start..self.at];
        let text_at = match key[0] {
            0xa0..=0xbf => Some(1),
            marker @ 0xd9..=0xdb => Some(1 + (1 << (marker - 0xd9))),
            _ => None,
        };
        match text_at.and_then(|text_at| std::str::from_utf8(&key[text_at..]).ok()) {
            Some(name) => Ok((path.field(name), Some(name))),
            None => Ok((path.other_key(key), None)),
        }
    }
}

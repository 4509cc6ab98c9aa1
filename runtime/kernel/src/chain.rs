//! The hash chain: each event has a hash over itself and its predecessors, so that every change of them is noticed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::envelope::NewEvent;
use crate::id::{AggregateRef, CommandKey};
use crate::number::Version;

/// The hash over one event of an aggregate and, through it, over all before it: the first 16 bytes of a BLAKE3 hash.
///
/// It covers everything in the row except the position, which is not known before the commit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(pub [u8; 16]);

impl Chain {
    /// The chain before the first event.
    pub const ROOT: Self = Self([0; 16]);

    /// The chain that ends with `event`, if this chain ends with the event before it.
    #[must_use]
    pub fn next(self, aggregate: &AggregateRef, version: Version, key: Option<&CommandKey>, event: &NewEvent) -> Self {
        // The row is gathered first, because hashing a few whole blocks is much faster than many small pieces.
        let mut row = Row::new();
        row.push(&self.0);
        // Each field begins with its length, so that two different rows never give the same bytes.
        let mut field = |bytes: &[u8]| {
            row.push(&(bytes.len() as u64).to_le_bytes());
            row.push(bytes);
        };
        field(aggregate.aggregate_type.as_str().as_bytes());
        field(aggregate.id.as_str().as_bytes());
        field(&version.0.to_le_bytes());
        field(key.map_or("", CommandKey::as_str).as_bytes());
        field(event.event_type.as_bytes());
        field(&event.schema_version.to_le_bytes());
        field(&event.recorded_at.as_microsecond().to_le_bytes());
        field(&event.payload);
        field(&event.metadata);
        let mut link = [0; 16];
        link.copy_from_slice(&row.hash().as_bytes()[..16]);
        Self(link)
    }

    /// The start of the chain, which clients get with a version.
    #[must_use]
    pub const fn mark(self) -> Mark {
        let [first, second, third, fourth, ..] = self.0;
        Mark(u32::from_be_bytes([first, second, third, fourth]))
    }

    /// A chain from its stored bytes. `None` if there are not 16.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// The first four bytes of a chain. Of two histories of an aggregate that differ up to a version, the marks at that
/// version differ, but for one case in four billion.
///
/// Clients get it in entity tags, as eight lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub u32);

impl Mark {
    const DIGITS: usize = 8;

    /// Parses the form that [`Display`](fmt::Display) writes. Any other form is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_mark = text.len() == Self::DIGITS && text.bytes().all(is_digit);
        is_mark.then(|| u32::from_str_radix(text, 16).ok())?.map(Self)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

/// The bytes that are hashed, in one piece if they are few.
struct Row {
    start: [u8; Self::PIECE],
    filled: usize,
    /// Set once there is more than one piece.
    hasher: Option<Box<blake3::Hasher>>,
}

impl Row {
    /// Large enough for an event of usual size with its metadata.
    const PIECE: usize = 512;

    const fn new() -> Self {
        Self { start: [0; Self::PIECE], filled: 0, hasher: None }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if let Some(room) = self.start.get_mut(self.filled..end) {
            room.copy_from_slice(bytes);
            self.filled = end;
            return;
        }
        let hasher = self.hasher.get_or_insert_default();
        hasher.update(&self.start[..self.filled]).update(bytes);
        self.filled = 0;
    }

    fn hash(self) -> blake3::Hash {
        let rest = &self.start[..self.filled];
        match self.hasher {
            Some(mut hasher) => hasher.update(rest).finalize(),
            None => blake3::hash(rest),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AggregateId, AggregateType, Timestamp};

    fn order() -> AggregateRef {
        other("order", "o-1")
    }

    fn other(aggregate_type: &str, id: &str) -> AggregateRef {
        AggregateRef::new(AggregateType::new(aggregate_type).unwrap(), AggregateId::new(id).unwrap())
    }

    fn event() -> NewEvent {
        NewEvent {
            event_type: "placed".into(),
            schema_version: 1,
            payload: vec![1, 2, 3],
            metadata: vec![4],
            recorded_at: Timestamp::from_second(1_700_000_000).unwrap(),
            chain: Chain::ROOT,
        }
    }

    #[test]
    fn a_mark_is_the_start_of_its_chain_and_is_read_as_it_is_written() {
        let mut bytes = [0xff; 16];
        bytes[..4].copy_from_slice(&[0x00, 0x3f, 0x9a, 0x01]);
        let chain = Chain(bytes);
        assert_eq!(chain.mark().to_string(), "003f9a01");
        assert!(chain.to_string().starts_with("003f9a01"));
        assert_eq!(Mark::parse("003f9a01"), Some(chain.mark()));
        for text in ["", "3f9a01", "003F9A01", "+03f9a01", "003f9a01f", "003f9a0g"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_chain_is_pinned() {
        let link = Chain::ROOT.next(&order(), Version(1), None, &event());
        assert_eq!(link.to_string(), GOLDEN);
    }

    const GOLDEN: &str = "51f1f6de15b40783f1340ed7a69f2634";

    #[test]
    fn an_event_of_any_size_has_the_hash_of_its_bytes() {
        for size in (0..1_100).chain([100_000]) {
            let mut row = Row::new();
            let bytes: Vec<u8> = (0..size).map(|byte: usize| byte.to_le_bytes()[0]).collect();
            row.push(&[7; 16]);
            row.push(&bytes);
            row.push(&[9; 30]);
            assert_eq!(row.hash(), blake3::hash(&[&[7; 16], &bytes[..], &[9; 30]].concat()), "{size}");
        }
    }

    #[test]
    fn a_change_anywhere_changes_the_link() {
        let key = CommandKey::new("k").unwrap();
        let original = Chain::ROOT.next(&order(), Version(1), Some(&key), &event());
        let changed = [
            Chain([1; 16]).next(&order(), Version(1), Some(&key), &event()),
            Chain::ROOT.next(&other("order", "o-2"), Version(1), Some(&key), &event()),
            Chain::ROOT.next(&other("orders", "-1"), Version(1), Some(&key), &event()),
            Chain::ROOT.next(&order(), Version(2), Some(&key), &event()),
            Chain::ROOT.next(&order(), Version(1), None, &event()),
            Chain::ROOT.next(&order(), Version(1), Some(&key), &NewEvent { payload: vec![1, 2, 2], ..event() }),
            Chain::ROOT.next(&order(), Version(1), Some(&key), &NewEvent { metadata: vec![], ..event() }),
            Chain::ROOT.next(&order(), Version(1), Some(&key), &NewEvent { schema_version: 2, ..event() }),
            Chain::ROOT.next(&order(), Version(1), Some(&key), &NewEvent { event_type: "place".into(), ..event() }),
            Chain::ROOT.next(
                &order(),
                Version(1),
                Some(&key),
                &NewEvent { recorded_at: Timestamp::UNIX_EPOCH, ..event() },
            ),
        ];
        assert!(changed.iter().all(|link| *link != original));
    }
}

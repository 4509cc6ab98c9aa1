//! Numbers that must not be confused: positions, versions, epochs, slices.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of slices into which all aggregates are divided. It never changes, because every row contains its slice.
pub const SLICES: u16 = 1024;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number before the first.
            pub const ZERO: Self = Self(0);

            /// The next number.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The number that is `count` higher.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0 + count)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number! {
    /// The place of an event in its journal: 1..n without gaps, in the order of commits.
    Position
}

number! {
    /// The place of an event in its aggregate, and the number of events of an aggregate. The first event has version 1,
    /// and no version is skipped.
    Version
}

number! {
    /// The number of an ownership of a journal. Each new owner takes the next number, and earlier owners can no longer
    /// append.
    Epoch
}

/// A fixed part of all aggregates: `crc32("{type}/{id}") % 1024`. Each shard has a range of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slice(u16);

impl Slice {
    /// The slice of an aggregate.
    #[must_use]
    pub fn of(aggregate_type: &str, id: &str) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(aggregate_type.as_bytes());
        hasher.update(b"/");
        hasher.update(id.as_bytes());
        Self((hasher.finalize() % u32::from(SLICES)) as u16)
    }

    /// The number of the slice: 0..1024.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The shard of this slice among `shards` equal ranges: 0..shards.
    #[must_use]
    pub fn shard(self, shards: u16) -> u16 {
        (u32::from(self.0) * u32::from(shards) / u32::from(SLICES)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pinned() {
        // Every row contains its slice: a change here loses aggregates. The numbers are Python's `zlib.crc32(…) %
        // 1024`.
        assert_eq!(Slice::of("order", "o-1").number(), 38);
        assert_eq!(Slice::of("inventory", "sku-42").number(), 890);
        assert_eq!(Slice::of("a", "").number(), 320);
    }

    #[test]
    fn every_shard_owns_a_contiguous_range_and_none_is_empty() {
        for shards in [1, 2, 3, 64, 1000, 1024] {
            let owners: Vec<u16> = (0..SLICES).map(|slice| Slice(slice).shard(shards)).collect();
            assert!(owners.is_sorted());
            assert_eq!(owners.first(), Some(&0));
            assert_eq!(owners.last(), Some(&(shards - 1)));
            assert!(owners.windows(2).all(|pair| pair[1] - pair[0] <= 1));
        }
    }
}

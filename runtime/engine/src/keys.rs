//! The recent command keys of an aggregate. With them most commands need no lookup in the journal.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use dormouse_kernel::{CommandKey, Version};
use serde::{Deserialize, Serialize};

/// Hashes of the latest keys of one aggregate, with the version of each command's first event.
///
/// A key takes 16 bytes. A hash that is found may be that of another key (one chance in 2^64 per pair), so the journal
/// decides. A key whose hash is not found was not used after `complete_after`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecentKeys {
    seen: VecDeque<(u64, u64)>,
    complete_after: Version,
}

/// What the recent keys say about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUsage {
    /// The key was used, most likely by the command whose first event has this version.
    ProbablyUsed(Version),
    /// The key was not used.
    Unused,
    /// The key was not used after this version. For the time before, only the journal knows.
    UnusedAfter(Version),
}

impl RecentKeys {
    /// Whether a key was used, as far as the recent keys say.
    pub(crate) fn find(&self, key: &CommandKey) -> KeyUsage {
        let hash = hash(key);
        match self.seen.iter().rev().find(|(seen, _)| *seen == hash) {
            Some(&(_, version)) => KeyUsage::ProbablyUsed(Version(version)),
            None if self.complete_after == Version::ZERO => KeyUsage::Unused,
            None => KeyUsage::UnusedAfter(self.complete_after),
        }
    }

    /// Adds a key, and drops the oldest if there are more than `limit`.
    pub(crate) fn remember(&mut self, key: &CommandKey, first: Version, limit: usize) {
        self.seen.push_back((hash(key), first.0));
        self.keep_latest(limit);
    }

    fn keep_latest(&mut self, limit: usize) {
        while self.seen.len() > limit {
            if let Some((_, version)) = self.seen.pop_front() {
                self.complete_after = Version(version);
            }
        }
    }

    /// The latest `limit` keys only, for a snapshot.
    pub(crate) fn latest(&self, limit: usize) -> Self {
        let skipped = self.seen.len().saturating_sub(limit);
        let mut latest =
            Self { seen: self.seen.iter().skip(skipped).copied().collect(), complete_after: self.complete_after };
        if let Some((_, version)) = skipped.checked_sub(1).and_then(|last| self.seen.get(last)) {
            latest.complete_after = Version(*version);
        }
        latest
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo), mixed by the SplitMix64 finaliser. Snapshots contain it, so that it must never
/// change.
fn hash(key: &CommandKey) -> u64 {
    #[derive(Clone, Copy)]
    struct Fnv(u64);

    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    impl BuildHasher for Fnv {
        type Hasher = Self;

        fn build_hasher(&self) -> Self {
            *self
        }
    }

    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325).build_hasher();
    hasher.write(key.as_str().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> CommandKey {
        CommandKey::new(format!("key-{number}")).unwrap()
    }

    #[test]
    fn a_remembered_key_is_found_with_its_version() {
        let mut keys = RecentKeys::default();
        keys.remember(&key(1), Version(1), 8);
        assert_eq!(keys.find(&key(1)), KeyUsage::ProbablyUsed(Version(1)));
        assert_eq!(keys.find(&key(2)), KeyUsage::Unused);
    }

    #[test]
    fn once_keys_were_dropped_only_the_journal_knows_about_older_ones() {
        let mut keys = RecentKeys::default();
        (1..=5).for_each(|number| keys.remember(&key(number), Version(number), 3));
        assert_eq!(keys.find(&key(1)), KeyUsage::UnusedAfter(Version(2)));
        assert_eq!(keys.find(&key(3)), KeyUsage::ProbablyUsed(Version(3)));
    }

    #[test]
    fn a_snapshot_keeps_the_latest_keys_and_the_version_after_which_they_are_complete() {
        let mut keys = RecentKeys::default();
        (1..=5).for_each(|number| keys.remember(&key(number), Version(number), 8));
        let latest = keys.latest(2);
        assert_eq!(latest.find(&key(4)), KeyUsage::ProbablyUsed(Version(4)));
        assert_eq!(latest.find(&key(3)), KeyUsage::UnusedAfter(Version(3)));
        assert_eq!(keys.latest(8), keys);
    }

    proptest! {
        /// Whichever keys are added, dropped and snapshotted: a key that was used never counts as unused.
        #[test]
        fn no_used_key_counts_as_unused(
            steps in vec((0..30_u64, 1..4_u64, any::<bool>()), 0..60),
            limit in 1..10_usize,
            snapshot in 1..6_usize,
        ) {
            let (mut keys, mut version) = (RecentKeys::default(), 0);
            let mut used = HashMap::new();
            for (number, events, snapshotted) in steps {
                match keys.find(&key(number)) {
                    KeyUsage::ProbablyUsed(first) => prop_assert_eq!(used.get(&number), Some(&first)),
                    KeyUsage::Unused => prop_assert!(!used.contains_key(&number)),
                    KeyUsage::UnusedAfter(last) => prop_assert!(used.get(&number).is_none_or(|first| *first <= last)),
                }
                if let Entry::Vacant(unused) = used.entry(number) {
                    keys.remember(&key(number), Version(version + 1), limit);
                    unused.insert(Version(version + 1));
                    version += events;
                }
                if snapshotted {
                    keys = keys.latest(snapshot);
                }
            }
        }
    }

    #[test]
    fn hashes_are_pinned_because_snapshots_contain_them() {
        assert_eq!(hash(&key(1)), 0x3803_edeb_4f44_5d66);
    }
}

//! The limits of the log, each with its reason.

use std::time::Duration;

/// The size at which a segment ends and the next one begins: large enough that there are few files, small enough that a
/// start reads the last one in a moment.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// The longest line. An entry with all its texts at their limits is shorter. A reader that meets a longer line stops
/// there, instead of taking it into memory.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 10;

/// The most characters of a text of an entry. Addresses, names and ids are shorter; what a client invents need not be.
pub(crate) const TEXT_CHARS_MAX: usize = 512;

/// The most details of an entry.
pub(crate) const DETAILS_MAX: usize = 12;

/// The most characters of a detail.
pub(crate) const DETAIL_CHARS_MAX: usize = 256;

/// Entries whose recorders wait. Further recorders wait for one of them. Each is an action of an operator.
pub(crate) const RECORDS_WAITING: usize = 256;

/// Noted entries that wait. Further ones are counted only. A disk that hangs for a second delays no more than these.
pub(crate) const NOTES_WAITING: usize = 1024;

/// Entries that one sync makes durable.
pub(crate) const BATCH_ENTRIES: usize = 256;

/// Noted entries a second, for each action: more logins than a large site has. An attacker gets 3 KiB a second written.
pub(crate) const NOTES_PER_SECOND: u32 = 10;

/// Noted entries at once, for each action, before the rate counts: those of a morning when everybody logs in.
pub(crate) const NOTES_BURST: u32 = 100;

/// The time between two entries that say how many notes were suppressed.
pub(crate) const SUPPRESSED_EVERY: Duration = Duration::from_secs(10);

/// The share of the log's size above which notes are counted only, in quarters. The rest is for actions of operators:
/// nobody can make them impossible by being refused often enough.
pub(crate) const NOTES_QUARTERS: u64 = 3;

//! The limits of the read side, each with its reason.

/// Bytes in a key. PostgreSQL's index takes 2,700; ids have up to 128 characters, so a few of them fit.
pub(crate) const KEY_BYTES: usize = 1024;

/// Characters in the name of a projection. `view_<name>_<build>__<field>` must fit PostgreSQL's 63 for an identifier, with
/// seven digits for the build.
pub(crate) const NAME_CHARS: usize = 24;

/// Characters in the path of a declared field, for the same reason.
pub(crate) const FIELD_CHARS: usize = 24;

/// Characters of a text that lists compare. An entry of PostgreSQL's index takes 2,704 bytes: these, with up to four bytes
/// each, and a key. Longer texts that begin alike count as equal, on every store.
pub(crate) const TEXT_CHARS: usize = 400;

/// Fields by which a list can be sorted at once: each adds a comparison to every step of a cursor.
pub(crate) const SORT_FIELDS: usize = 3;

/// Conditions in one query, and values in one `in`: a query is a line of an address, not a program.
pub(crate) const FILTERS: usize = 16;

/// See [`FILTERS`].
pub(crate) const VALUES: usize = 100;

/// Bytes of documents on a page of a list, unless a query says otherwise: it is held in memory until it is written.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// What a document takes on a page beside its JSON, in bytes, about.
pub(crate) const ROW_BYTES: usize = 64;

/// Events that are projected before other tasks have their turn: well under a millisecond.
pub(crate) const EVENTS_AT_A_TIME: usize = 256;

/// Events in a part of a batch that is decoded beside others: far more work than handing them over.
pub(crate) const EVENTS_IN_A_PART: usize = 1_024;

/// A projection that has met with so many aggregates since it was started, and had to park more than half of them, stops: not
/// events are wrong then, but its code. Fewer would stop one over a few events after each start.
pub(crate) const JUDGED_AGGREGATES: usize = 1_000;

/// What an entry of the cache of documents takes beside its document and key, in bytes, about.
pub(crate) const ENTRY_BYTES: usize = 200;

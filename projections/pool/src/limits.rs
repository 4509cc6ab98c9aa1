//! The limits of the read side, each with its reason.

/// Bytes in a key. An index of PostgreSQL takes 2,700. Ids have up to 128 characters, so a key can consist of a few
/// ids.
pub(crate) const KEY_BYTES: usize = 1024;

/// Characters in the name of a projection. `view_<name>_<build>__<field>` must fit into the 63 characters of an
/// identifier of PostgreSQL, with seven digits for the build.
pub(crate) const NAME_CHARS: usize = 24;

/// Characters in the path of a declared field, for the same reason.
pub(crate) const FIELD_CHARS: usize = 24;

/// Characters of a text that lists compare. An entry of a PostgreSQL index takes 2,704 bytes: these characters, with up
/// to four bytes each, and a key. Longer texts with the same beginning count as equal, on every store.
pub(crate) const TEXT_CHARS: usize = 400;

/// Fields by which one list can be sorted: each adds a comparison to every step of a cursor.
pub(crate) const SORT_FIELDS: usize = 3;

/// Conditions in one query, and values in one `in`: a query must fit into the line of a URL.
pub(crate) const FILTERS: usize = 16;

/// See [`FILTERS`].
pub(crate) const VALUES: usize = 100;

/// Bytes of documents on a page of a list, unless a query says otherwise: a page is in memory until it is written.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// What a document takes on a page in addition to its JSON, in bytes, about.
pub(crate) const ROW_BYTES: usize = 64;

/// Events that a worker projects before it lets other tasks run: well under a millisecond.
pub(crate) const EVENTS_AT_A_TIME: usize = 256;

/// Events in a part of a batch that is decoded in parallel: decoding them takes far longer than starting a task.
pub(crate) const EVENTS_IN_A_PART: usize = 1_024;

/// Data keys of subjects that a batch loads or makes at the same time: each may be a round trip.
pub(crate) const DATA_KEYS_AT_ONCE: usize = 16;

/// What a document of a worker takes in memory in addition to its JSON and key, in bytes, about.
pub(crate) const ENTRY_BYTES: usize = 200;

//! The limits of what has a name, each with its reason. They are part of the format: raising one is a migration.

/// Characters in an aggregate id. Long enough for a UUID with a prefix or an e-mail address, short enough for every
/// index page to hold many.
pub const AGGREGATE_ID_CHARS: usize = 128;

/// Characters in an aggregate type: it stands in URLs, metrics labels and every row.
pub const AGGREGATE_TYPE_CHARS: usize = 64;

/// Characters in a command key. `Idempotency-Key`s in the field are UUIDs or hashes; 128 leaves room for a prefix.
pub const COMMAND_KEY_CHARS: usize = 128;

/// How deep a stored value may nest. Twice what `serde_json` takes, so that whatever came in as JSON fits; rmp-serde's
/// own 1024 can exhaust a thread's stack before they are reached.
pub const NESTING: usize = 256;

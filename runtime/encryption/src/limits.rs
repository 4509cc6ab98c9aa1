//! Limits, each with its reason.

use std::time::Duration;

/// Bytes in the name of a subject: two names of 64 and an aggregate id of 128 characters fit.
pub const SUBJECT_BYTES: usize = 512;

/// Keys that are kept unwrapped in memory. Each takes about 1 KiB: 10,000 busy subjects fit, and 16 MiB are never
/// exceeded by much.
pub const CACHED_KEYS: u64 = 16_384;

/// How long an unwrapped key stays in memory. A key that another process destroys is used here for so long at most. To
/// load one again costs a read and an unwrapping.
pub const KEYS_CACHED_FOR: Duration = Duration::from_secs(300);

/// Keys in one statement: few enough that it holds no connection for long.
pub(crate) const KEYS_PER_READ: usize = 500;

/// Keys that are unwrapped at the same time. A wrapping key in another machine takes milliseconds for each.
pub(crate) const UNWRAPPED_AT_ONCE: usize = 16;

/// Keys of one page of a rotation: short enough for a bar that moves.
pub(crate) const KEYS_PER_ROTATION_PAGE: usize = 256;

/// How often a rotation starts over, because new keys were wrapped with the previous wrapping key meanwhile.
pub(crate) const ROTATION_PASSES: usize = 8;

/// Bytes of a file with wrapping keys: a thousand keys fit. A larger file is something else.
pub(crate) const WRAPPING_FILE_BYTES: u64 = 128 << 10;

/// Characters of the id of a wrapping key: an id of a key management service fits.
pub const WRAPPING_KEY_ID_CHARS: usize = 256;

/// How deep a JSON document may nest: the limit of `serde_json`.
pub(crate) const JSON_NESTING: usize = 128;

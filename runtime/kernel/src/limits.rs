//! Limits of names and stored values, each with its reason. They are part of the stored format: raising one needs a
//! migration.

/// Characters in an aggregate id: enough for a UUID with a prefix or an e-mail address, and few enough that an index
/// page contains many ids.
pub const AGGREGATE_ID_CHARS: usize = 128;

/// Characters in an aggregate type, which is part of URLs, metric labels and every row.
pub const AGGREGATE_TYPE_CHARS: usize = 64;

/// Characters in a command key. Common `Idempotency-Key`s are UUIDs or hashes: 128 has room for a prefix.
pub const COMMAND_KEY_CHARS: usize = 128;

/// Characters in the name of a timer, which is part of the key of the command that it sends.
pub const TIMER_NAME_CHARS: usize = 64;

/// Messages that one command may send. They are in one row, and are delivered together: a command that has more to say
/// should let a process manager say it step by step.
pub const MESSAGES_PER_COMMAND: usize = 256;

/// Timers that one command may set or cancel, for the same reason.
pub const TIMERS_PER_COMMAND: usize = 256;

/// How deep a stored value may nest: twice the limit of `serde_json`, so that everything that was sent as JSON fits.
/// The limit of rmp-serde, 1024, can exhaust a thread's stack before it is reached.
pub const NESTING: usize = 256;

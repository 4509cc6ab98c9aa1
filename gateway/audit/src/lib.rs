//! The audit log: who did what, in files that only grow and that show when they were changed. This crate knows nothing of
//! HTTP.
//!
//! The log is a directory of segments, `audit-000001.jsonl` and so on. Each line is an entry in JSON, and ends with a keyed
//! hash over the line and the hash of the line before: the lines are a chain. Whoever has no key cannot change, remove,
//! reorder or add a line without [`verify`] finding it. Only a cut at the end looks like an older log: it is found with a
//! [`Head`] that was kept elsewhere.
//!
//! [`AuditLog`] is the handle of the process that writes. [`AuditLog::record`] returns when its entry is durable, so that
//! an action can wait for it. [`AuditLog::note`] never waits, and is bounded: callers that are refused by the thousand
//! cannot fill the disk. [`entries`], [`head`], [`export`] and [`verify`] read the files, also while a process writes.

mod bounds;
mod chain;
mod damage;
mod entry;
mod key;
mod limits;
mod line;
mod log;
mod metric;
mod read;
mod segments;
#[cfg(test)]
mod tests;
mod verify;

pub use chain::{Head, InvalidHead, Mac};
pub use damage::{Damage, Place};
pub use entry::{Action, Entry, Outcome, Who};
pub use key::{Key, KeyError};
pub use line::StoredEntry;
pub use log::{AuditLog, OpenError, RecordError};
pub use read::{Entries, Exported, Filter, ReadError, entries, export, head};
pub use segments::bytes;
pub use verify::{Verified, VerifyError, verify};

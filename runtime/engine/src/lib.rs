//! The actors of Dormouse: they keep live aggregates in memory and turn commands into durable events.
//!
//! An [`Engine`] runs on a journal. Each aggregate type is reached through its [`Aggregates`] handle, which is the
//! command bus: it admits a command (permits instead of unbounded mailboxes), finds the aggregate's actor in the
//! directory or wakes it, and waits for the answer. The actor decides, evolves and submits to the journal's writer
//! without waiting for the commit; the writer answers the caller. Shards supervise the actors, a root supervises the
//! shards, and a sweep puts to sleep what has been idle.
//!
//! Invariants: one activation of an aggregate at a time. No answer, of a command or of a read, leaves before everything
//! it could have seen is durable. A command is decided at most once, and one that was not decided comes back. No ractor
//! type in a public signature.

mod admission;
mod aggregate;
mod aggregates;
mod binary;
mod clock_check;
mod command;
mod delivery;
mod directory;
mod dormant;
mod engine;
mod error;
mod keys;
mod metric;
mod outcome;
mod passivation;
mod registered_type;
mod snapshot_sample;
mod snapshotting;
mod supervision;
#[cfg(test)]
mod test_aggregate;

pub use aggregate::SnapshotVerification;
pub use aggregates::{Aggregates, VersionedState};
pub use command::{CommandOptions, Expected};
pub use engine::{Builder, DrainReport, Engine, Lifecycle};
pub use error::{CommandError, QueryError, StartError};
pub use metric::{BATCH_BUCKETS, DURATION_BUCKETS};
pub use outcome::{EventSummary, Outcome, Reply};
pub use registered_type::Residency;

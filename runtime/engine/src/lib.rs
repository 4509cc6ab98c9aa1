//! The actors of Dormouse. They keep live aggregates in memory, and turn commands into durable events.
//!
//! An [`Engine`] runs on a journal. [`Aggregates`] is the command bus of one aggregate type. It admits a command
//! (permits bound the mailboxes), gets the aggregate's actor from the directory, which starts one if there is none, and
//! waits for the answer. The actor decides, applies the events and submits them to the journal's writer. It never waits
//! for a commit: the writer answers the caller. Shards supervise the actors of aggregates, and the root supervises the
//! shards. The sweeper puts aggregates to sleep that are not used.
//!
//! Invariants: an aggregate has one activation at a time. No answer to a command or a read leaves before everything
//! that it rests on is durable. A command is decided at most once, and a command that was not decided returns to the
//! bus. No ractor type is in a public signature. `gateway/src/background.rs` lists all background tasks.

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
mod lifecycle;
mod live_count;
mod metric;
mod node;
mod outcome;
mod passivation;
mod registered_type;
mod residency;
mod sealing;
mod snapshot_sample;
mod snapshotting;
mod supervision;
#[cfg(test)]
mod test_aggregate;

pub use aggregate::SnapshotVerification;
pub use aggregates::{Aggregates, VersionedState};
pub use command::{CommandOptions, Expected, FiringTimer};
pub use engine::{Builder, DrainReport, Engine};
pub use error::{CommandError, QueryError, StartError};
pub use lifecycle::Lifecycle;
pub use metric::{BATCH_BUCKETS, DURATION_BUCKETS};
pub use outcome::{EventSummary, Outcome, Reply};
pub use residency::Residency;

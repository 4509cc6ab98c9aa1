//! The durable log of Dormouse: one totally ordered, gap-free sequence of events, in one of three stores.
//!
//! A [`Journal`] is the handle that all callers hold. Behind it one writer gathers what aggregates
//! [submit](Submission), checks versions and command keys, and commits a batch in one statement (group commit). A
//! [`Store`] keeps the rows: [`Memory`](store::Memory), [`Sqlite`](store::Sqlite) or [`Postgres`](store::Postgres). One
//! conformance suite holds all three to the contract on the trait. A [`Feed`] follows the log as it grows.
//! [`Snapshot`]s are a cache beside the log: losing them loses nothing. `gateway/src/background.rs` lists the
//! background tasks.
//!
//! Invariant: the writer answers "success" only after the commit is durable. An outcome that is not known is read from
//! the store, never guessed.

mod append;
mod append_session;
mod catch_up;
mod error;
mod feed;
mod filter;
mod journal;
mod metric;
mod open;
mod page;
mod shared_reads;
mod snapshot;
pub mod store;
mod writer;
mod yield_to_ready_tasks;

pub use append::{Append, AppendKey, Committed};
pub use append_session::AppendSession;
pub use catch_up::{CatchUps, Turn};
pub use error::{AppendError, CommitError, OpenError, ReadError, StoreError};
pub use feed::Feed;
pub use filter::{LogFilter, Selected};
pub use journal::{Anchor, Journal, event_binding};
pub use metric::BATCH_BUCKETS;
pub use open::{migrate, open, open_reader};
pub use page::{Page, PageLimit};
pub use shared_reads::SharedReads;
pub use snapshot::{AsOf, Snapshot};
pub use store::Store;
pub use writer::{Health, Options, PredecessorFailed, Submission};
pub use yield_to_ready_tasks::yield_to_ready_tasks;

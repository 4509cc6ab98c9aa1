//! The durable log of Dormouse: one totally ordered, gap-free sequence of events, in one of three stores.
//!
//! A [`Journal`] is the handle everybody holds. Behind it one writer collects what aggregates [submit](Submission),
//! checks versions and command keys, and commits what has gathered in one statement (group commit). A [`Store`] keeps
//! the rows: [`Memory`](store::Memory), `Sqlite` or `Postgres`, all held to the
//! contract on the trait by one conformance suite. A [`Feed`] follows the log as it grows. [`Snapshot`]s are a cache beside the log: losing them loses nothing.
//!
//! Invariant: an answer of success leaves only after the commit it speaks of is durable. An outcome that is not known
//! is found out from the store, never guessed.

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
mod turn;
mod writer;

pub use append::{Append, AppendKey, Committed};
pub use append_session::AppendSession;
pub use catch_up::{CatchUps, Turn};
pub use error::{AppendError, CommitError, OpenError, ReadError, StoreError};
pub use feed::Feed;
pub use filter::{LogFilter, Selected};
pub use journal::{Anchor, Journal};
pub use metric::BATCH_BUCKETS;
pub use open::{migrate, open, open_reader};
pub use page::{Page, PageLimit};
pub use shared_reads::SharedReads;
pub use snapshot::{AsOf, Snapshot};
pub use store::Store;
pub use turn::let_others_go_first;
pub use writer::{Health, Options, Submission, Undone};

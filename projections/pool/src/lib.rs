//! The read side: projections turn events into JSON documents, and readers query these documents.
//!
//! A [`Projection`] names the aggregate types that it reads. For each type, [`Project`] says which documents an event
//! concerns, and makes the next version of each. Both are pure functions, and [`Given`] tests them without a runtime.
//!
//! [`Projections`] runs them. A supervisor starts a planner for each projection, and a worker for each build that the
//! planner names. A worker follows the journal's feed. For each batch it decodes the events, loads the documents,
//! projects, and commits the documents together with the new offset to a [`ViewStore`]. A [`View`] (in the projection's
//! types) or a [`Reader`] (in JSON) reads the documents, and can wait for a position. A [`Cache`] keeps what was read
//! until the worker changes it.
//!
//! A view has at most two builds: the one that is served, and a new one beside it, which new code or an operator has
//! begun. The new build takes over once it has caught up. Operators pause, resume, reset, rebuild and drop projections
//! through [`Projections`], and retry or skip parked events there.
//!
//! [`Personal`](dormouse_kernel::Personal) fields of documents are sealed in the store and in the cache, if there are
//! keys ([`Options::keys`]). Workers have plain documents in memory, and drop them when somebody is forgotten. Readers
//! open documents last.
//!
//! To find your way: `worker.rs` (the loop of a worker), `projector.rs` (a batch), `sealing.rs` (personal fields),
//! `retry_rules.rs` (all that is repeated after a failure), `supervision.rs` (restarts), `context.rs` (what workers and
//! readers share), `control.rs` (operators).
//!
//! Invariants: documents and offset are committed in one transaction, so each event has its effect exactly once, even
//! if the process ends at any step. An event that cannot be projected stops only its aggregate. No public signature has
//! a ractor type.

mod batch;
mod cache;
mod capacity;
mod context;
mod control;
mod decoded_batch;
mod definition;
mod documents;
mod error;
mod event_rate;
mod fields;
mod given;
mod key;
mod limits;
mod metric;
mod options;
mod pool;
mod progress;
mod projection;
mod projector;
mod query;
mod reader;
mod release;
mod retry_rules;
mod sealing;
mod sources;
pub mod store;
mod supervision;
mod transaction;
mod view;
mod worker;

pub use cache::{Cache, Evictions, Stats, Usage};
pub use capacity::Capacity;
pub use control::{ControlError, ParkedEvent, Retried};
pub use definition::{Definition, DefinitionError};
pub use dormouse_kernel::Event;
pub use fields::{Field, Fields, Kind};
pub use given::Given;
pub use key::{Key, Keys};
pub use metric::BATCH_BUCKETS;
pub use options::Options;
pub use pool::{Builder, Projections, StartError};
pub use progress::{Progress, Rebuild, State};
pub use projection::{Project, Projection};
pub use query::{Filter, Page, Place, Query, QueryError, Sort, Test, Value};
pub use reader::{Reader, WaitError};
pub use sources::Sources;
pub use store::ViewStore;
pub use view::{Document, DocumentAt, ReadError, View};

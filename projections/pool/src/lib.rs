//! The read side: projections turn events into JSON documents, workers keep them up to date, views read them.
//!
//! A [`Projection`] says which aggregates it reads; for each of them, [`Project`] names the documents that an event
//! concerns and makes their next version. Both are pure: [`Given`] tests them without a runtime. A [`ViewStore`] keeps
//! the documents, with how far they have come. [`Projections`] runs one worker per build, supervised: it follows
//! the journal's feed, and writes the documents of a batch and the new offset in one transaction. A [`View`] (in
//! the projection's types) or a [`Reader`] (in JSON) reads what a worker wrote, and waits for it. A [`Cache`] keeps what
//! was read, until the worker changes it.
//!
//! A view may have two builds, each with its worker: one that is served, and one that is made beside it, by new code or
//! because an operator wants it, and takes its place once it is as far. Operators pause, resume, reset, rebuild and drop
//! through [`Projections`], and there they retry or skip what could not be projected.
//!
//! Invariants: rows and offset are committed together, so that every event has its effect once, whatever dies when.
//! An event that cannot be projected holds up its aggregate, and nothing else. No ractor type in a public signature.

mod batch;
mod cache;
mod capacity;
mod context;
mod control;
mod decoded_batch;
mod definition;
mod documents;
mod error;
mod event;
mod event_rate;
mod failure_share;
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
pub use event::Event;
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

//! The actor of one live aggregate.
//!
//! [`LoadedAggregate`] is the pure core: a state, what it decides, how it becomes bytes. [`waking`] fills it from the nearest
//! source. [`AggregateActor`] holds one, takes [`Message`]s, and talks to the journal's writer; its [`Activation`]
//! tells the directory how it ended.

mod activation;
mod actor;
mod decision;
mod dormant_snapshot;
mod loaded_aggregate;
mod loading;
mod message;
mod snapshot_verification;
mod state_equality;

pub(crate) use activation::Activation;
pub(crate) use actor::AggregateActor;
pub(crate) use dormant_snapshot::DormantSnapshot;
pub(crate) use loaded_aggregate::LoadedAggregate;
pub(crate) use loading::{LoadError, load_as_of};
pub(crate) use message::{Message, PassivationReason, Reading};
pub use snapshot_verification::SnapshotVerification;
pub(crate) use snapshot_verification::verify;

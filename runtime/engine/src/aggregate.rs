//! The actor of one live aggregate.
//!
//! A [`LoadedAggregate`] is the pure core: a state, what it decides, and how it becomes bytes. [`loading`] makes one
//! from the nearest source. [`AggregateActor`] holds one, takes [`Message`]s, and submits to the journal's writer. Its
//! [`Activation`] reports to the directory how the actor ended.

mod activation;
mod active_timers;
mod actor;
mod decision;
mod dormant_snapshot;
mod key_check;
mod loaded_aggregate;
mod loading;
mod message;
mod snapshot_body;
mod snapshot_verification;
mod state_equality;

pub(crate) use activation::Activation;
pub(crate) use actor::AggregateActor;
pub(crate) use dormant_snapshot::DormantSnapshot;
pub(crate) use loaded_aggregate::LoadedAggregate;
pub(crate) use loading::{LoadError, load_as_of};
pub(crate) use message::{Message, Reading};
pub use snapshot_verification::SnapshotVerification;
pub(crate) use snapshot_verification::verify;

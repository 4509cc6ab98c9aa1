//! The actor of one live aggregate.
//!
//! [`Resident`] is the pure core: a state, what it decides, how it becomes bytes. [`waking`] fills it from the nearest
//! source. [`AggregateActor`] holds one, takes [`Message`]s, and talks to the journal's writer; its [`Activation`]
//! tells the directory how it ended.

mod activation;
mod actor;
mod body;
mod decision;
mod message;
mod resident;
mod sameness;
mod verifying;
mod waking;

pub(crate) use activation::Activation;
pub(crate) use actor::AggregateActor;
pub(crate) use body::Body;
pub(crate) use message::{Message, Reading, SleepReason};
pub(crate) use resident::Resident;
pub use verifying::Verified;
pub(crate) use verifying::verify;
pub(crate) use waking::{WakeError, state_as_of};

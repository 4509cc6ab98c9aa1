//! The nouns and traits of Dormouse: what an aggregate is, and what its events look like at rest.
//!
//! An [`Aggregate`] decides commands into events and evolves by them; a [`Context`] hands it everything it may not
//! fetch itself: time, ids, and the state after what it already emitted. An [`EventCodec`] turns its events into named
//! MessagePack payloads and back, through [`Upcasters`] when they were written by an older version. A [`NewEvent`]
//! is what goes into a journal, a [`RecordedEvent`] what comes out, each linked to the one before it by its [`Chain`].
//! [`Given`] tests all of it without a runtime.
//!
//! Invariant: no I/O, no clock, no randomness, no tokio in here beyond [`SystemClock`] and [`SystemIds`], which a
//! runtime passes in, and [`failpoint`], which is empty outside tests.

mod aggregate;
mod chain;
mod clock;
mod codec;
mod context;
mod envelope;
pub mod failpoint;
mod failures;
mod given;
mod id;
pub mod limits;
mod number;
mod selection;
mod shape;
mod upcast;
mod variant;

pub use aggregate::{Aggregate, DomainEvent, Rejection};
pub use chain::{Chain, Mark};
pub use clock::{Clock, IdSource, ManualClock, SequentialIds, SystemClock, SystemIds};
pub use codec::{CodecError, Decoded, EncodedEvent, EventCodec, decode, encode};
pub use context::Context;
pub use envelope::{CommandRecord, Fingerprint, Metadata, NewEvent, RecordedEvent};
pub use failures::{Failures, Limits, RestartDecision};
pub use given::{Given, When};
pub use id::{AggregateId, AggregateRef, AggregateType, CommandKey, EventId, InvalidId};
pub use jiff::Timestamp;
pub use number::{Epoch, Position, SLICES, Slice, Version};
pub use selection::EventSelection;
pub use shape::shape_of;
pub use upcast::{RawEvent, Upcasters};
pub use uuid::Uuid;
pub use variant::{NotAnEnum, decode_variant, is_same_variant, kebab_case, variant_name, variant_names};

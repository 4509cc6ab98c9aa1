//! The nouns and traits of Dormouse: aggregates, and the stored form of their events.
//!
//! An [`Aggregate`] decides commands and applies events. A [`Context`] gives a decision what it may not fetch itself:
//! time, ids, and the state after the events that it has emitted; through it a decision also sends messages
//! ([`Message`]) and sets timers ([`TimerChange`]). An [`EventCodec`] turns events into MessagePack
//! payloads with names and back, and applies [`Upcasters`] to events that older code wrote. A [`NewEvent`] is appended
//! to a journal, and a [`RecordedEvent`] is read from it, which readers get as an [`Event`]. The [`Chain`] links each
//! event to the one before it. [`Personal`] marks data about a person, which is stored encrypted. [`Given`] tests
//! aggregates without a runtime.
//!
//! Invariant: this crate has no I/O, no clock, no randomness and no tokio, except for [`SystemClock`] and
//! [`SystemIds`], which a runtime passes in, and [`failpoint`], which is empty outside tests.

mod aggregate;
mod backoff;
mod chain;
mod clock;
mod codec;
mod context;
mod envelope;
mod event;
pub mod failpoint;
mod failures;
mod given;
mod id;
pub mod limits;
mod message;
mod number;
mod outgoing;
mod personal;
mod selection;
mod shape;
mod timer;
mod upcast;
mod variant;

pub use aggregate::{Aggregate, DomainEvent, Rejection, caller_as_data_subject};
pub use backoff::Backoff;
pub use chain::{Chain, Mark};
pub use clock::{Clock, IdSource, ManualClock, SequentialIds, SystemClock, SystemIds};
pub use codec::{CodecError, Decoded, EncodedEvent, EventCodec, bytes, decode, encode};
pub use context::{Context, Effects, Sending};
pub use envelope::{CommandRecord, Fingerprint, Metadata, NewEvent, RecordedEvent};
pub use event::Event;
pub use failures::{Failures, Limits, RestartDecision};
pub use given::{ExpectedTimer, Given, When};
pub use id::{AggregateId, AggregateRef, AggregateType, CommandKey, EventId, InvalidId, TimerName};
pub use jiff::Timestamp;
pub use message::{AddressedCommand, InvalidMessage, Message, Refusal};
pub use number::{Epoch, Position, SLICES, Slice, Version};
pub use outgoing::{OUTGOING_EVENT, OUTGOING_PAYLOAD, Outgoing, OutgoingError};
pub use personal::{FORGOTTEN_KEY, PERSONAL_EXTENSION, Personal};
pub use selection::EventSelection;
pub use shape::shape_of;
pub use timer::{After, At, CatchUp, Cron, Every, InvalidCron, Schedule, TimerChange, Timing};
pub use upcast::{RawEvent, Upcasters};
pub use uuid::Uuid;
pub use variant::{NotAnEnum, decode_variant, is_same_variant, kebab_case, variant_name, variant_names};

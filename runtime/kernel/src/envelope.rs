//! What is recorded with an event: its origin, its time, and its command.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::codec::{CodecError, bytes, decode};
use crate::id::{AggregateRef, CommandKey, EventId};
use crate::number::{Position, Version};
use crate::outgoing::{self, Outgoing};

/// The origin of an event. It is stored as MessagePack beside the payload. Absent parts take no space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The id of the event.
    pub event_id: EventId,
    /// The conversation that the event belongs to, across aggregates and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The message that directly caused the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// The user on whose behalf the command was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The tenant for which the command was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The command, on its first event only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandRecord>,
    /// What the command sends and schedules, on its first event only. Readers that need nothing else use
    /// [`RecordedEvent::outgoing`], which is faster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgoing: Option<Box<Outgoing>>,
}

/// The record of a command in the journal, so that a repetition of the command gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// The command's name.
    pub name: Cow<'static, str>,
    /// How many events the command made, this one included.
    pub events: u32,
    /// The fingerprint of the command as its type was encoded then, if it was sent with a key. A later version of the
    /// type may encode the same command in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The fingerprint of what the sender wrote, independent of the type, if the command was sent with a key and not as
    /// a typed value. It does not cover the command's name. Earlier versions of Dormouse neither wrote nor read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Fingerprint>,
    /// The encoded reply.
    #[serde(with = "bytes")]
    pub reply: Vec<u8>,
}

/// A hash over the content of a command. Two commands have equal hashes if and only if they are equal, except for one
/// chance in 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of an encoded command. It is stored, so that the encoding must not change between a command and
    /// its retry.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        let hash = blake3::hash(encoded);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// The fingerprint as a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// An event to be appended. Its aggregate, version and command key are in the append that contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The stable name of the event.
    pub event_type: Cow<'static, str>,
    /// The version of its schema, from 1.
    pub schema_version: u32,
    /// Its fields, MessagePack with names.
    pub payload: Vec<u8>,
    /// Its encoded [`Metadata`].
    pub metadata: Vec<u8>,
    /// When it was decided, to the microsecond. Never earlier than the event before it.
    pub recorded_at: Timestamp,
    /// The hash over it and its predecessors.
    pub chain: Chain,
}

impl NewEvent {
    /// About how many bytes of memory an event takes besides its payload and its metadata.
    pub const ROW_BYTES: usize = 160;

    /// About how many bytes of memory the event takes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.payload.len() + self.metadata.len() + Self::ROW_BYTES
    }
}

/// An event in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its position in the journal.
    pub position: Position,
    /// Its aggregate.
    pub aggregate: AggregateRef,
    /// Its place among the aggregate's events.
    pub version: Version,
    /// The key of the command that made it, on the command's first event, if the command had one.
    pub command_key: Option<CommandKey>,
    /// The event itself.
    pub event: NewEvent,
}

impl RecordedEvent {
    /// Reads the metadata.
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub fn metadata(&self) -> Result<Metadata, CodecError> {
        decode(&self.event.metadata)
    }

    /// Reads what the event's command sends and schedules. Usually that is nothing, which costs no decoding.
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub fn outgoing(&self) -> Result<Option<Outgoing>, CodecError> {
        outgoing::of_metadata(&self.event.metadata)
    }

    /// Whether the event's command sends or schedules anything. It may say so of an event that does not.
    #[must_use]
    pub fn may_have_outgoing(event: &NewEvent) -> bool {
        outgoing::may_be_in(&event.metadata)
    }

    /// Whether the event is unchanged since it was written, if `before` is the chain that ends with the event before
    /// it.
    #[must_use]
    pub fn follows(&self, before: Chain) -> bool {
        before.next(&self.aggregate, self.version, self.command_key.as_ref(), &self.event) == self.event.chain
    }
}

//! What surrounds an event: where it came from, when, and for which command.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::codec::{CodecError, decode};
use crate::id::{AggregateRef, CommandKey, EventId};
use crate::number::{Position, Version};

/// Who and what caused an event. Stored as MessagePack beside the payload; absent parts take no space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// What this event is called everywhere.
    pub event_id: EventId,
    /// The conversation this belongs to, across aggregates and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The message that directly caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// For which tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The command, on its first event only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandRecord>,
}

/// What a journal remembers of a command, so that a repetition gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// The command's name.
    pub name: Cow<'static, str>,
    /// How many events it made, this one included.
    pub events: u32,
    /// What it said, as its type was encoded then, if it was sent with a key. A later version of the type may encode the same
    /// command in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// What its sender wrote, whatever the type made of it, if it was sent with a key and its sender wrote it in a format of
    /// its own. Its name is not part of it. Earlier versions of Dormouse neither wrote nor read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Fingerprint>,
    /// What was answered, encoded.
    #[serde(with = "bytes")]
    pub reply: Vec<u8>,
}

/// MessagePack has a type for bytes; serde's `Vec<u8>` would be an array of numbers.
mod bytes {
    use serde::de::{self, Deserializer, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// A hash over the content of a command: equal if and only if (but for one chance in 2^63) the commands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of an encoded command. Stored, so that the encoding must not change between a command and its retry.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        let hash = blake3::hash(encoded);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// As a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// An event on its way into the journal. Its aggregate, version and command key stand with the append it is part of.
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
    /// When it was decided, to the microsecond; never before the event that precedes it.
    pub recorded_at: Timestamp,
    /// The hash over it and its predecessors.
    pub chain: Chain,
}

impl NewEvent {
    /// What an event takes in memory beside its payload and its metadata, in bytes, about.
    pub const ROW_BYTES: usize = 160;

    /// How much memory it takes, in bytes, about.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.payload.len() + self.metadata.len() + Self::ROW_BYTES
    }
}

/// An event in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Where in the journal.
    pub position: Position,
    /// Whose it is.
    pub aggregate: AggregateRef,
    /// Which of the aggregate's events.
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

    /// Whether this is unchanged since it was written, given that `before` ends with the event before it.
    #[must_use]
    pub fn follows(&self, before: Chain) -> bool {
        before.next(&self.aggregate, self.version, self.command_key.as_ref(), &self.event) == self.event.chain
    }
}

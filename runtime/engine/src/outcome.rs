//! The outcome of a command, new or recorded.

use std::borrow::Cow;

use dormouse_kernel::{
    AggregateId, CodecError, CommandRecord, Fingerprint, Mark, Position, RecordedEvent, Version, decode,
    is_same_variant,
};
use serde::de::DeserializeOwned;

/// The outcome of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    /// The aggregate that decided.
    pub id: AggregateId,
    /// Its version after the command.
    pub version: Version,
    /// The mark of its chain at that version. `None` for a dry run of a command with events.
    pub mark: Option<Mark>,
    /// The position of its last event. If it made none, the head of the journal at that time. `None` for a dry run.
    pub position: Option<Position>,
    /// The events it made, in order.
    pub events: Vec<EventSummary>,
    /// The reply of the domain.
    pub reply: R,
    /// The command was decided before, and this is its first outcome.
    pub repeated: bool,
}

/// An event by name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSummary {
    /// The stable name of the event.
    pub event_type: Cow<'static, str>,
    /// Its version.
    pub version: Version,
}

/// The reply of the domain, as a value or as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<R> {
    /// The command was decided now.
    New(R),
    /// The command was decided before: MessagePack with field names, of the type that the reply had then.
    Stored(Vec<u8>),
}

impl<R> Outcome<R> {
    /// The same outcome with another reply.
    pub(crate) fn with_reply<S, E>(self, change: impl FnOnce(R) -> Result<S, E>) -> Result<Outcome<S>, E> {
        let Self { id, version, mark, position, events, reply, repeated } = self;
        Ok(Outcome { id, version, mark, position, events, reply: change(reply)?, repeated })
    }
}

impl<R: DeserializeOwned> Outcome<Reply<R>> {
    /// Decodes the reply as the current type.
    pub(crate) fn decoded(self) -> Result<Outcome<R>, CodecError> {
        self.with_reply(|reply| match reply {
            Reply::New(reply) => Ok(reply),
            Reply::Stored(bytes) => decode(&bytes),
        })
    }
}

impl<R> Outcome<Reply<R>> {
    /// Reads the outcome of a command, and its identity, from the recorded events that the command made.
    pub(crate) fn recorded(events: &[RecordedEvent]) -> Result<Option<(Self, CommandIdentity)>, CodecError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        let Some(command) = first.metadata()?.command else { return Ok(None) };
        let CommandRecord { name, fingerprint, content, reply, .. } = command;
        let summary =
            |event: &RecordedEvent| EventSummary { event_type: event.event.event_type.clone(), version: event.version };
        let outcome = Self {
            id: first.aggregate.id.clone(),
            version: last.version,
            mark: Some(last.event.chain.mark()),
            position: Some(last.position),
            events: events.iter().map(summary).collect(),
            reply: Reply::Stored(reply),
            repeated: true,
        };
        Ok(Some((outcome, CommandIdentity { name, typed: fingerprint, content })))
    }
}

/// What distinguishes a repeated command from another one under the same key.
#[derive(Clone, Debug)]
pub(crate) struct CommandIdentity {
    pub(crate) name: Cow<'static, str>,
    /// The fingerprint of the typed command's encoding.
    pub(crate) typed: Option<Fingerprint>,
    /// The fingerprint of what the sender wrote.
    pub(crate) content: Option<Fingerprint>,
}

impl CommandIdentity {
    /// Whether both are the same command: the sender wrote the same, or the encodings of the type are equal. Commands
    /// that were recorded before content had a fingerprint have only the second, and so have senders of typed commands.
    pub(crate) fn is_same<C: DeserializeOwned>(&self, other: &Self) -> bool {
        let wrote_the_same = self.content.is_some() && self.content == other.content;
        self.typed == other.typed || (wrote_the_same && is_same_variant::<C>(&self.name, &other.name))
    }
}

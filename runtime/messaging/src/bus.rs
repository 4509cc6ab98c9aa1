//! The way from messaging to aggregates: the engine's command bus, behind a trait.

use async_trait::async_trait;
use dormouse_kernel::{
    AddressedCommand, AggregateRef, CodecError, CommandKey, EventId, Fingerprint, Metadata, Refusal, TimerName, Version,
};
use serde::{Deserialize, Serialize};

use crate::operations::{Condition, Ending};

/// Delivers commands to aggregates.
#[async_trait]
pub trait CommandBus: Send + Sync + 'static {
    /// Delivers a command, and returns once its events are durable. A command whose key is known gets its first
    /// outcome again.
    async fn deliver(&self, delivery: Delivery) -> Delivered;

    /// Carries out a command that a client has asked for, and returns once its outcome is durable. A command whose key is
    /// known gets its first outcome again.
    async fn carry_out(&self, command: ClientCommand) -> CarriedOut;

    /// Whether the aggregate has decided a command with this key, and has events of it.
    ///
    /// # Errors
    /// Why that cannot be found out now.
    async fn is_known(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<bool, String>;
}

/// A command on its way to an aggregate.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The command, and the aggregate that decides it.
    pub to: AddressedCommand,
    /// Under this key, the aggregate carries the command out once.
    pub key: CommandKey,
    /// No command was ever delivered under this key: the aggregate need not look it up.
    pub is_first: bool,
    /// What caused the command.
    pub origin: Origin,
    /// The timer that sends the command, if one does.
    pub timer: Option<Firing>,
    /// The refusal that the command answers, if it answers one.
    pub refusal: Option<Refusal>,
}

/// A command that a client has asked for, and whose outcome it wants.
#[derive(Clone, Debug)]
pub struct ClientCommand {
    /// The command, and the aggregate that decides it.
    pub to: AddressedCommand,
    /// Under this key, the aggregate carries the command out once.
    pub key: CommandKey,
    /// No command was ever sent under this key: the aggregate need not look it up.
    pub is_first: bool,
    /// The fingerprint of what the client wrote.
    pub content: Option<Fingerprint>,
    /// The version that the aggregate must have.
    pub condition: Condition,
    /// The client may act only on what belongs to the subject of `origin`.
    pub only_own: bool,
    /// What caused the command.
    pub origin: Origin,
}

/// What became of a command that a client has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarriedOut {
    /// It has its outcome, which another attempt would not change.
    Ended(Ending),
    /// It failed. Another attempt may succeed.
    Failed(String),
    /// As with [`Delivered::NotNow`].
    NotNow(String),
}

/// A timer that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// Its name.
    pub name: TimerName,
    /// The version of the event that set it.
    pub set_at: Version,
    /// It will not be due again.
    pub is_last: bool,
}

/// What caused a command. It is stored with the command's events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The id of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// The user on whose behalf the first command of the conversation was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The tenant for which it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The aggregate has accepted the command.
    Accepted,
    /// The domain has refused it.
    Refused(Refusal),
    /// The timer that sent it is not set any more.
    TimerReplaced,
    /// Another command was carried out under the same key before.
    Superseded,
    /// It failed. Another attempt may succeed.
    Failed(String),
    /// Nothing can be delivered now: the node is stopping, overloaded, or without a journal. That is no fault of the
    /// command, so the attempt does not count.
    NotNow(String),
}

impl Origin {
    /// The origin of what an event causes.
    #[must_use]
    pub fn of(event: &Metadata) -> Self {
        let Metadata { event_id, correlation, subject, tenant, traceparent, .. } = event;
        Self {
            correlation: correlation.clone(),
            causation: Some(event_id.to_string()),
            subject: subject.clone(),
            tenant: tenant.clone(),
            traceparent: traceparent.clone(),
        }
    }
}

/// The key of a command that an event causes. `kind` distinguishes the causes, `ordinal` the commands of one cause.
///
/// # Errors
/// If `kind` makes the key too long.
pub(crate) fn derived_key(kind: &str, event: EventId, ordinal: usize) -> Result<CommandKey, CodecError> {
    let key = format!("${kind}-{}-{ordinal}", event.0.simple());
    CommandKey::new(&key).map_err(|error| CodecError::Encode { what: "a command key", reason: error.to_string() })
}

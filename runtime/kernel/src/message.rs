//! Messages: commands that one aggregate sends to another, as they are stored with the sender's events.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::aggregate::Aggregate;
use crate::codec::{CodecError, bytes, encode, variant_tag};
use crate::id::{AggregateId, AggregateRef, AggregateType, InvalidId};

/// A command for another aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The command, and the aggregate that shall decide it.
    pub to: AddressedCommand,
    /// The command that is sent if the domain refuses the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_refused: Option<AddressedCommand>,
}

/// An encoded command with the aggregate that shall decide it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressedCommand {
    #[serde(rename = "type")]
    aggregate_type: AggregateType,
    id: AggregateId,
    /// MessagePack with field names: the variant by name, as serde writes an enum.
    #[serde(with = "bytes")]
    command: Vec<u8>,
}

/// Why the domain refused a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable code of the rejection.
    pub code: String,
    /// The rejection in words.
    pub detail: String,
}

/// Why something cannot be sent or scheduled. The domain code must change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// The id of the target is not valid.
    #[error("a message cannot be addressed: {0}")]
    Address(#[from] InvalidId),
    /// The command cannot be encoded.
    #[error("a message cannot be encoded: {0}")]
    Encoding(#[from] CodecError),
}

impl AddressedCommand {
    /// A command for the aggregate of type `B` with this id.
    ///
    /// # Errors
    /// If the id is not valid, or if the command cannot be encoded.
    pub fn new<B: Aggregate>(id: impl AsRef<str>, command: &B::Command) -> Result<Self, InvalidMessage> {
        Ok(Self { aggregate_type: AggregateType::new(B::TYPE)?, id: AggregateId::new(id)?, command: encode(command)? })
    }

    /// A command that is encoded already, as [`encode`] does it.
    #[must_use]
    pub fn encoded(aggregate: AggregateRef, command: Vec<u8>) -> Self {
        Self { aggregate_type: aggregate.aggregate_type, id: aggregate.id, command }
    }

    /// The aggregate that shall decide the command.
    #[must_use]
    pub fn aggregate(&self) -> AggregateRef {
        AggregateRef::new(self.aggregate_type.clone(), self.id.clone())
    }

    /// The type of that aggregate.
    #[must_use]
    pub const fn aggregate_type(&self) -> &AggregateType {
        &self.aggregate_type
    }

    /// The encoded command.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// The name of the command. Empty if the bytes are damaged.
    #[must_use]
    pub fn name(&self) -> &str {
        variant_tag(&self.command).and_then(|(name, _)| std::str::from_utf8(name).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for AddressedCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (aggregate_type, id, command) = (&self.aggregate_type, &self.id, self.command.escape_ascii());
        write!(formatter, "{aggregate_type}/{id}: {} ({command})", self.name())
    }
}

impl Message {
    /// A message to the aggregate of type `B` with this id.
    ///
    /// # Errors
    /// If the id is not valid, or if the command cannot be encoded.
    pub fn new<B: Aggregate>(id: impl AsRef<str>, command: &B::Command) -> Result<Self, InvalidMessage> {
        Ok(Self { to: AddressedCommand::new::<B>(id, command)?, on_refused: None })
    }

    /// The message that `context.send::<B>(id, command)` sends, for tests.
    ///
    /// # Panics
    /// If the id is not valid, or if the command cannot be encoded.
    #[must_use]
    #[track_caller]
    pub fn to<B: Aggregate>(id: impl AsRef<str>, command: B::Command) -> Self {
        Self::new::<B>(id, &command).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    /// The same with a command for the aggregate of type `C` with this id, should the first one be refused; for tests.
    ///
    /// # Panics
    /// If the id is not valid, or if the command cannot be encoded.
    #[must_use]
    #[track_caller]
    pub fn on_refused<C: Aggregate>(mut self, id: impl AsRef<str>, command: C::Command) -> Self {
        let addressed = AddressedCommand::new::<C>(id, &command);
        self.on_refused = Some(addressed.unwrap_or_else(|invalid| panic!("{invalid}")));
        self
    }
}

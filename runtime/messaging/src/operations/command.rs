//! A command that a client has asked for, as it is stored until it is carried out.

use dormouse_kernel::{AddressedCommand, CommandKey, Fingerprint, Mark, Version};
use serde::{Deserialize, Serialize};

/// A command that a client has asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedCommand {
    /// The command, and the aggregate that shall decide it.
    pub to: AddressedCommand,
    /// The client's key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<CommandKey>,
    /// The fingerprint of what the client wrote, which does not depend on the type of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Fingerprint>,
    /// The version that the aggregate must have.
    #[serde(default, skip_serializing_if = "Condition::is_none")]
    pub condition: Condition,
    /// The client may act only on its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_own: bool,
}

/// A condition on the version of an aggregate before a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// No condition.
    #[default]
    Any,
    /// The aggregate exists: it has at least one event.
    Exists,
    /// The aggregate has exactly this version. Zero: it must not exist yet.
    Exactly(Version),
    /// The aggregate has exactly this version, with the same events that the client has seen.
    Marked {
        /// The version.
        version: Version,
        /// The mark of its chain at that version.
        mark: Mark,
    },
}

impl Condition {
    fn is_none(&self) -> bool {
        *self == Self::Any
    }
}

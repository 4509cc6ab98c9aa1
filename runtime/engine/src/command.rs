//! The options of a command.

use dormouse_kernel::{Chain, CommandKey, Fingerprint, Mark, Refusal, TimerName, Version};
use tokio::time::Instant;

/// The sender of a command, its conditions and its deadline.
#[derive(Clone, Debug, Default)]
pub struct CommandOptions {
    /// The sender's key for this command. If the same content is sent again under it, it gets the first outcome again.
    pub key: Option<CommandKey>,
    /// No command was ever sent under this key: it need not be looked up in the journal.
    pub key_is_new: bool,
    /// A fingerprint of what the sender wrote, which does not depend on the type that it is decoded into. A retry with
    /// the same fingerprint is the same command, also if the type has gained a field meanwhile. `None` for a sender
    /// that has only the typed command. Then the encoding of the command counts: a gained field changes it, unless the
    /// field is skipped while it is empty.
    pub content: Option<Fingerprint>,
    /// The version the aggregate must have.
    pub expected: Expected,
    /// When the sender stops waiting. `None`: after the configured `commands.timeout`.
    pub deadline: Option<Instant>,
    /// The command is decided and answered, but changes nothing.
    pub dry_run: bool,
    /// The conversation that the command belongs to.
    pub correlation: Option<String>,
    /// The message that caused the command.
    pub causation: Option<String>,
    /// The user on whose behalf it is sent.
    pub subject: Option<String>,
    /// The sender may act only on what belongs to `subject`. It is not told whether another aggregate exists.
    pub only_own: bool,
    /// The tenant for which it is sent.
    pub tenant: Option<String>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// The timer that sends the command. The aggregate refuses it if the timer was replaced or cancelled.
    pub timer: Option<Box<FiringTimer>>,
    /// The refusal of a message, if the sender of the message gets this command because of it.
    pub refusal: Option<Box<Refusal>>,
}

/// A timer that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiringTimer {
    /// The name of the timer.
    pub name: TimerName,
    /// The version of the aggregate's event that set it. A timer that was set later is another one.
    pub set_at: Version,
    /// The timer will not be due again.
    pub is_last: bool,
}

/// A condition on the version of the aggregate before the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// No condition.
    #[default]
    Any,
    /// The aggregate exists: it has at least one event.
    Exists,
    /// The aggregate has exactly this version. Zero: it must not exist yet.
    Exactly(Version),
    /// The aggregate has exactly this version, with the same events that the sender has seen.
    Marked {
        /// The version.
        version: Version,
        /// The mark of its chain at that version.
        mark: Mark,
    },
}

impl Expected {
    /// Whether an aggregate with this version and chain meets the condition.
    #[must_use]
    pub fn matches(self, current: Version, chain: Chain) -> bool {
        match self {
            Self::Any => true,
            Self::Exists => current > Version::ZERO,
            Self::Exactly(expected) => current == expected,
            Self::Marked { version, mark } => current == version && chain.mark() == mark,
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => formatter.write_str("any version"),
            Self::Exists => formatter.write_str("any version from 1"),
            Self::Exactly(version) => write!(formatter, "version {version}"),
            Self::Marked { version, mark } => write!(formatter, "version {version} with the mark {mark}"),
        }
    }
}

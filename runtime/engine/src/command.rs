//! What a command carries besides itself.

use dormouse_kernel::{Chain, CommandKey, Fingerprint, Mark, Version};
use tokio::time::Instant;

/// Who sends a command, under which conditions, and until when it is worth deciding.
#[derive(Clone, Debug, Default)]
pub struct CommandOptions {
    /// The sender's name for this command: sent again with the same content, it gets the first outcome again.
    pub key: Option<CommandKey>,
    /// What the sender wrote, in a form that does not depend on the type it is decoded into: a retry with the same is the same
    /// command, also if the type has gained a field meanwhile. `None` for a sender that has only the typed command; then its
    /// encoding counts, in which a gained field shows unless it is skipped while it is empty.
    pub content: Option<Fingerprint>,
    /// The version the aggregate must have.
    pub expected: Expected,
    /// When the answer is of no use any more. `None`: the configured `commands.timeout` from now.
    pub deadline: Option<Instant>,
    /// Decide and answer, but change nothing.
    pub dry_run: bool,
    /// The conversation this belongs to.
    pub correlation: Option<String>,
    /// The message that caused it.
    pub causation: Option<String>,
    /// On whose behalf.
    pub subject: Option<String>,
    /// For which tenant.
    pub tenant: Option<String>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

/// A condition on the version of the aggregate before the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// No condition.
    #[default]
    Any,
    /// It exists: it has at least one event.
    Exists,
    /// It has exactly this version; zero if it must not exist yet.
    Exactly(Version),
    /// It has exactly this version, with the very events that the sender has seen.
    Marked {
        /// The version.
        version: Version,
        /// The mark of its chain at that version.
        mark: Mark,
    },
}

impl Expected {
    /// Whether an aggregate at version `current`, where its chain is `chain`, fulfils the condition.
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

//! What a command sends and schedules. It is stored in the metadata of the command's first event, so it is committed
//! with the events or not at all.

use std::sync::LazyLock;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, decode};
use crate::id::InvalidId;
use crate::limits::{MESSAGES_PER_COMMAND, TIMERS_PER_COMMAND};
use crate::message::{InvalidMessage, Message};
use crate::timer::TimerChange;

/// The name of the row that carries what a command sends and schedules if the command emits no event. It takes a
/// version of the aggregate, and has no fields. No event of a domain may have this name.
pub const OUTGOING_EVENT: &str = "$outgoing";

/// The payload of such a row: an empty map.
pub const OUTGOING_PAYLOAD: &[u8] = &[0x80];

/// What a command sends and schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The messages, in the order in which they were sent. The place of a message is its ordinal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The changes of timers, in order. The place of a change is its ordinal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<TimerChange>,
}

/// Why a command cannot send or schedule what it wants to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// There are too many messages.
    #[error("the command sends more than {MESSAGES_PER_COMMAND} messages")]
    TooManyMessages,
    /// There are too many changes of timers.
    #[error("the command changes more than {TIMERS_PER_COMMAND} timers")]
    TooManyTimers,
    /// A message is not valid.
    #[error(transparent)]
    Message(#[from] InvalidMessage),
    /// The name of a timer is not valid.
    #[error(transparent)]
    TimerName(#[from] InvalidId),
    /// A timer would never be due.
    #[error("the timer {0:?} is never due")]
    NeverDue(String),
    /// The command of a timer cannot be encoded.
    #[error("a timer cannot be encoded: {0}")]
    Timer(#[source] CodecError),
}

impl Outgoing {
    /// Whether nothing is sent or scheduled.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.timers.is_empty()
    }

    /// The bytes of the commands in it.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let messages = self.messages.iter().flat_map(|message| [Some(&message.to), message.on_refused.as_ref()]);
        let timers = self.timers.iter().map(|change| match change {
            TimerChange::Set { command, .. } => command.len(),
            TimerChange::Cancelled { .. } | TimerChange::Fired { .. } => 0,
        });
        messages.flatten().map(|addressed| addressed.command().len()).chain(timers).sum()
    }
}

/// How MessagePack writes the field of [`Metadata`](crate::Metadata) that has all of this.
const FIELD: &[u8] = b"\xa8outgoing";

/// Prepared once, because preparing it takes longer than a search, and each event is searched.
static FIELD_FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(FIELD));

/// Whether encoded metadata may contain anything outgoing. A text that contains the same bytes makes this say so, too.
pub(crate) fn may_be_in(metadata: &[u8]) -> bool {
    FIELD_FINDER.find(metadata).is_some()
}

/// Reads what is outgoing from encoded metadata.
pub(crate) fn of_metadata(metadata: &[u8]) -> Result<Option<Outgoing>, CodecError> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        outgoing: Option<Outgoing>,
    }

    if !may_be_in(metadata) {
        return Ok(None);
    }
    Ok(decode::<Part>(metadata)?.outgoing)
}

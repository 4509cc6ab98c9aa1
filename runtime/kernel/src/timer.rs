//! Timers: commands that an aggregate sends to itself at a later time, as they are stored with its events.

mod cron;
mod schedule;

use serde::{Deserialize, Serialize};

pub use cron::{Cron, InvalidCron};
pub use schedule::{After, At, CatchUp, Every, Schedule, Timing};

use crate::aggregate::Aggregate;
use crate::codec::{CodecError, bytes, encode};
use crate::id::TimerName;

/// A change of an aggregate's timers, which its command made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerChange {
    /// The timer is set. It replaces an earlier one of the same name.
    Set {
        /// The name of the timer within its aggregate.
        name: TimerName,
        /// When it is due.
        schedule: Schedule,
        /// The command that it sends, encoded.
        #[serde(with = "bytes")]
        command: Vec<u8>,
    },
    /// The timer is cancelled. There may be none.
    Cancelled {
        /// The name of the timer within its aggregate.
        name: TimerName,
    },
    /// The timer was due for the last time, and its command was decided.
    Fired {
        /// The name of the timer within its aggregate.
        name: TimerName,
    },
}

impl TimerChange {
    /// The name of the timer.
    #[must_use]
    pub const fn name(&self) -> &TimerName {
        match self {
            Self::Set { name, .. } | Self::Cancelled { name } | Self::Fired { name } => name,
        }
    }

    /// A timer that is set.
    ///
    /// # Errors
    /// If the command cannot be encoded.
    pub fn set<A: Aggregate>(name: TimerName, schedule: Schedule, command: &A::Command) -> Result<Self, CodecError> {
        Ok(Self::Set { name, schedule, command: encode(command)? })
    }
}

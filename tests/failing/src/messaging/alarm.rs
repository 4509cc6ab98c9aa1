//! Alarms, which ring by timers.

use std::convert::Infallible;
use std::time::Duration;

use dormouse::{After, Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Numbers its settings, so that each ring names the one that it belongs to.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Alarm {
    settings: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum AlarmCommand {
    /// Sets the timer of this name, or sets it again.
    Set {
        name: String,
        after_ms: u64,
    },
    /// Sets so many timers, which are due one after the other within `over_ms`.
    SetMany {
        count: u64,
        after_ms: u64,
        over_ms: u64,
    },
    Cancel {
        name: String,
    },
    /// Sent by a timer.
    Ring {
        name: String,
        setting: u64,
    },
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum AlarmEvent {
    Set { name: String, setting: u64 },
    Cancelled { name: String },
    Rang { name: String, setting: u64 },
}

impl DomainEvent for AlarmEvent {}

impl Aggregate for Alarm {
    const TYPE: &'static str = "alarm";
    type Command = AlarmCommand;
    type Event = AlarmEvent;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, command: AlarmCommand, context: &mut Context<Self>) -> Result<(), Infallible> {
        match command {
            AlarmCommand::Set { name, after_ms } => set(context, name, self.settings + 1, after_ms),
            AlarmCommand::SetMany { count, after_ms, over_ms } => {
                for number in 1..=count {
                    let after_ms = after_ms + over_ms * number / count;
                    set(context, format!("many-{number}"), self.settings + number, after_ms);
                }
            }
            AlarmCommand::Cancel { name } => {
                context.cancel(&name);
                context.emit(AlarmEvent::Cancelled { name });
            }
            AlarmCommand::Ring { name, setting } => context.emit(AlarmEvent::Rang { name, setting }),
        }
        Ok(())
    }

    fn evolve(&mut self, event: &AlarmEvent) {
        if let AlarmEvent::Set { setting, .. } = event {
            self.settings = *setting;
        }
    }
}

fn set(context: &mut Context<Alarm>, name: String, setting: u64, after_ms: u64) {
    let ring = AlarmCommand::Ring { name: name.clone(), setting };
    context.schedule(&name, After(Duration::from_millis(after_ms)), ring);
    context.emit(AlarmEvent::Set { name, setting });
}

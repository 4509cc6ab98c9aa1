//! An aggregate that counts, and misbehaves on request.

use dormouse_kernel::{Aggregate, Context, DomainEvent, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) total: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Command {
    /// One event.
    Add { by: i64 },
    /// One event each.
    AddAll { by: Vec<i64> },
    /// Emits an event, then refuses.
    Refuse,
    /// Refuses unless the counter is new.
    Open,
    /// No event; replies the total.
    Look,
    /// The decision panics.
    Panic,
    /// The decision succeeds, and applying it panics.
    Poison,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Event {
    Added { by: i64 },
    Poisoned {},
}

impl DomainEvent for Event {}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("refused at {total}")]
pub(crate) struct Refused {
    pub(crate) total: i64,
}

impl Rejection for Refused {
    fn code(&self) -> &'static str {
        "refused"
    }
}

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Command = Command;
    type Event = Event;
    type Reply = i64;
    type Rejection = Refused;

    fn decide(&self, command: Command, context: &mut Context<Self>) -> Result<i64, Refused> {
        let refused = Refused { total: self.total };
        match command {
            Command::Add { by } => {
                context.emit(Event::Added { by });
                return Ok(self.total + by);
            }
            Command::AddAll { by } => by.into_iter().for_each(|by| context.emit(Event::Added { by })),
            Command::Refuse => {
                context.emit(Event::Added { by: 1_000_000 });
                return Err(refused);
            }
            Command::Open if self.total != 0 => return Err(refused),
            Command::Open => context.emit(Event::Added { by: 1 }),
            Command::Look => return Ok(self.total),
            Command::Panic => panic!("as told"),
            Command::Poison => {
                context.emit(Event::Poisoned {});
                return Ok(0);
            }
        }
        Ok(context.state().total)
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added { by } => self.total += by,
            Event::Poisoned {} => panic!("poisoned"),
        }
    }
}

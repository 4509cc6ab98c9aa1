//! An aggregate for the unit tests. The tests in `tests/` have their own.

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps all numbers in order, so that a test notices if an event is lost, repeated or moved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) seen: Vec<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) enum TallyCommand {
    /// Makes one event for each number. With `look`, the domain asks for the state after each.
    See { numbers: Vec<i64>, look: bool },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum TallyEvent {
    Saw { number: i64 },
    SawNothing,
}

impl DomainEvent for TallyEvent {}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Command = TallyCommand;
    type Event = TallyEvent;
    type Reply = usize;
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: TallyCommand, context: &mut Context<Self>) -> Result<usize, Self::Rejection> {
        let TallyCommand::See { numbers, look } = command;
        for number in numbers {
            context.emit(if number == 0 { TallyEvent::SawNothing } else { TallyEvent::Saw { number } });
            if look {
                context.state();
            }
        }
        Ok(self.seen.len())
    }

    fn evolve(&mut self, event: &TallyEvent) {
        self.seen.push(match event {
            TallyEvent::Saw { number } => *number,
            TallyEvent::SawNothing => 0,
        });
    }
}

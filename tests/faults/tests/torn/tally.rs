//! An aggregate that counts, with any number of events per command.

use dormouse_kernel::{Aggregate, Context, DomainEvent, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) enum TallyCommand {
    /// One event each time.
    Count { times: u64 },
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) enum TallyEvent {
    Counted {},
}

impl DomainEvent for TallyEvent {}

#[derive(Debug, thiserror::Error)]
#[error("never")]
pub(crate) enum Never {}

impl Rejection for Never {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Command = TallyCommand;
    type Event = TallyEvent;
    type Reply = u64;
    type Rejection = Never;

    fn decide(&self, TallyCommand::Count { times }: TallyCommand, context: &mut Context<Self>) -> Result<u64, Never> {
        (0..times).for_each(|_| context.emit(TallyEvent::Counted {}));
        Ok(context.state().count)
    }

    fn evolve(&mut self, TallyEvent::Counted {}: &TallyEvent) {
        self.count += 1;
    }
}

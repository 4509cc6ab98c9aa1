//! Domain code at its worst.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use dormouse::{Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts the notes it was given.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Chaos {
    notes: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum ChaosCommand {
    /// The one command that does no harm.
    Note,
    /// Panics while deciding.
    Panic,
    /// Decides on an event that cannot be followed.
    PanicLater,
    /// Keeps the processor busy while deciding, for as long as there is such a file; writes [`LOOPING`] into it first.
    Spin { file: PathBuf },
    /// Decides on an event of about so many bytes.
    Bloat { bytes: usize },
    /// Decides on so many small events.
    Multiply { events: usize },
    /// Decides on an event that the aggregate can follow, and a projection cannot.
    Curse,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum ChaosEvent {
    Noted,
    /// Whoever follows it panics.
    Exploded,
    Spun,
    Bloated {
        text: String,
    },
    Cursed,
}

impl DomainEvent for ChaosEvent {}

impl Aggregate for Chaos {
    const TYPE: &'static str = "chaos";
    type Command = ChaosCommand;
    type Event = ChaosEvent;
    type Reply = ();
    type Rejection = Infallible;

    fn decide(&self, command: ChaosCommand, context: &mut Context<Self>) -> Result<(), Infallible> {
        match command {
            ChaosCommand::Note => context.emit(ChaosEvent::Noted),
            ChaosCommand::Panic => panic!("as requested"),
            ChaosCommand::PanicLater => context.emit(ChaosEvent::Exploded),
            ChaosCommand::Spin { file } => {
                spin(&file);
                context.emit(ChaosEvent::Spun);
            }
            ChaosCommand::Bloat { bytes } => context.emit(ChaosEvent::Bloated { text: "x".repeat(bytes) }),
            ChaosCommand::Multiply { events } => (0..events).for_each(|_| context.emit(ChaosEvent::Noted)),
            ChaosCommand::Curse => context.emit(ChaosEvent::Cursed),
        }
        Ok(())
    }

    fn evolve(&mut self, event: &ChaosEvent) {
        match event {
            ChaosEvent::Noted => self.notes += 1,
            ChaosEvent::Exploded => panic!("as requested, while following an event"),
            ChaosEvent::Spun | ChaosEvent::Bloated { .. } | ChaosEvent::Cursed => {}
        }
    }
}

/// What a file says whose existence keeps an aggregate busy.
const LOOPING: &str = "looping";

fn spin(file: &Path) {
    // A test that has given up meanwhile has taken its file away: it must not come back.
    if file.exists() && fs::write(file, LOOPING).is_ok() {
        while file.exists() {
            (0..100_000).for_each(|_| std::hint::spin_loop());
        }
    }
}

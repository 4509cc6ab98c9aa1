//! An aggregate whose domain code fails in every way.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use dormouse::{Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts its notes.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Chaos {
    notes: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum ChaosCommand {
    /// The only harmless command.
    Note,
    /// Panics in the decision.
    Panic,
    /// Decides on an event whose application panics.
    PanicLater,
    /// Loops in the decision as long as this file exists; writes [`LOOPING`] into it first.
    Spin { file: PathBuf },
    /// Decides on an event of about this many bytes.
    Bloat { bytes: usize },
    /// Decides on this many small events.
    Multiply { events: usize },
    /// Decides on an event that the aggregate can apply, and a projection cannot.
    Curse,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum ChaosEvent {
    Noted,
    /// Applying this event panics.
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

/// The content of the file while the aggregate loops.
const LOOPING: &str = "looping";

fn spin(file: &Path) {
    // A test that has given up has removed its file. It must not be created again.
    if file.exists() && fs::write(file, LOOPING).is_ok() {
        while file.exists() {
            (0..100_000).for_each(|_| std::hint::spin_loop());
        }
    }
}

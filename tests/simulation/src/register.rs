//! The aggregate of the simulation. Its state shows which commands made it, in which order.

use dormouse_kernel::{Aggregate, Context, DomainEvent, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of events, and a digest of their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Register {
    /// The number of events so far, which is the version.
    pub(crate) count: u64,
    pub(crate) total: i64,
    pub(crate) digest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Order {
    /// One event for each number.
    Note { command: String, numbers: Vec<i64> },
    /// One event, if the total is large enough.
    Withdraw { command: String, number: i64 },
    /// No event.
    Look {},
    /// The decision succeeds, and applying its event panics.
    Panic {},
    /// The decision is fine, following it panics.
    Poison {},
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Entry {
    /// A number of a command: part `part` of `parts`.
    Noted {
        command: String,
        number: i64,
        part: u32,
        parts: u32,
    },
    Poisoned {},
}

impl DomainEvent for Entry {}

/// The total is too small.
#[derive(Debug, thiserror::Error)]
#[error("there is not enough at version {count}")]
pub(crate) struct TooLittle {
    pub(crate) count: u64,
}

impl Rejection for TooLittle {
    fn code(&self) -> &'static str {
        "too-little"
    }
}

impl Aggregate for Register {
    const TYPE: &'static str = "register";
    type Command = Order;
    type Event = Entry;
    type Reply = Register;
    type Rejection = TooLittle;

    fn decide(&self, order: Order, context: &mut Context<Self>) -> Result<Register, TooLittle> {
        match order {
            Order::Note { command, numbers } => note(context, &command, &numbers),
            Order::Withdraw { number, .. } if self.total < number => return Err(TooLittle { count: self.count }),
            Order::Withdraw { command, number } => note(context, &command, &[-number]),
            Order::Look {} => {}
            Order::Panic {} => panic!("as the command says"),
            Order::Poison {} => {
                context.emit(Entry::Poisoned {});
                return Ok(self.clone());
            }
        }
        Ok(context.state().clone())
    }

    fn evolve(&mut self, entry: &Entry) {
        match entry {
            Entry::Noted { command, number, .. } => {
                self.count += 1;
                self.total += number;
                let letters = command.bytes().map(u64::from).chain([number.unsigned_abs()]);
                self.digest = letters.fold(self.digest, |digest, letter| digest.wrapping_mul(1_000_003) ^ letter);
            }
            Entry::Poisoned {} => panic!("poisoned"),
        }
    }
}

fn note(context: &mut Context<Register>, command: &str, numbers: &[i64]) {
    let parts = numbers.len() as u32;
    for (part, number) in (0..).zip(numbers) {
        context.emit(Entry::Noted { command: command.to_owned(), number: *number, part, parts });
    }
}

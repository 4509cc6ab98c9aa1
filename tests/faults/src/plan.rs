//! Faults that nobody orders one by one: a plan decides at every call.

use std::time::Duration;

use dormouse_journal::store::Placed;

use crate::dice::Dice;
use crate::fault::{Fault, Tear};

/// Everything but a commit that can be asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the methods of `Store`")]
pub enum Call {
    Acquire,
    Versions,
    FindCommand,
    ReadAggregate,
    ReadLog,
    Head,
    Epoch,
    SaveSnapshots,
    Snapshot,
}

/// How a call is disturbed before it is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disturbance {
    /// So often it lets other tasks go first.
    pub yields: u64,
    /// Then it waits so long.
    pub delay: Duration,
    /// Then it fails.
    pub fails: bool,
}

/// Decides what becomes of each call, in the order of the calls.
pub trait Plan: Send {
    /// What becomes of this commit, after so many turns given to other tasks.
    fn commit(&mut self, batch: &[Placed]) -> (u64, Fault);

    /// What becomes of any other call.
    fn call(&mut self, call: Call) -> Disturbance;
}

/// How often what goes wrong: once in so many calls, never for zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// Most turns that a call gives to other tasks: this is what shuffles the order of events.
    pub yields: u64,
    /// Any call that is slow.
    pub slow: u64,
    /// The longest a slow call takes, once before and once after.
    pub slowest: Duration,
    /// A commit that is refused.
    pub refused: u64,
    /// A commit whose answer is lost; half of them have happened.
    pub lost: u64,
    /// A commit in which the machine goes down, leaving all, some or nothing of the batch's appends.
    pub torn: u64,
    /// Another call that fails.
    pub failing_call: u64,
}

/// A plan drawn from a seed.
#[derive(Debug)]
pub struct RandomPlan {
    dice: Dice,
    odds: Odds,
}

impl RandomPlan {
    /// The same seed makes the same plan.
    #[must_use]
    pub fn new(seed: u64, odds: Odds) -> Self {
        Self { dice: Dice::new(seed), odds }
    }

    fn yields(&mut self) -> u64 {
        self.dice.below(self.odds.yields + 1)
    }

    fn slowness(&mut self) -> Duration {
        let slowest = u64::try_from(self.odds.slowest.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.dice.below(slowest + 1))
    }
}

impl Plan for RandomPlan {
    fn commit(&mut self, batch: &[Placed]) -> (u64, Fault) {
        let yields = self.yields();
        let fault = if self.dice.one_in(self.odds.torn) {
            let written = self.dice.below(batch.len() as u64 + 1) as usize;
            Fault::Torn(Tear::Appends(written))
        } else if self.dice.one_in(self.odds.refused) {
            Fault::Refused
        } else if self.dice.one_in(self.odds.lost) {
            Fault::Lost { committed: self.dice.one_in(2) }
        } else if self.dice.one_in(self.odds.slow) {
            Fault::Slow { before: self.slowness(), after: self.slowness() }
        } else {
            Fault::None
        };
        (yields, fault)
    }

    fn call(&mut self, _call: Call) -> Disturbance {
        let yields = self.yields();
        let delay = if self.dice.one_in(self.odds.slow) { self.slowness() } else { Duration::ZERO };
        Disturbance { yields, delay, fails: self.dice.one_in(self.odds.failing_call) }
    }
}

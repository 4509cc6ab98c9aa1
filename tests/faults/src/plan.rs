//! Plans: faults that are decided at each call instead of being set one by one.

use std::time::Duration;

use dormouse_journal::store::Placed;

use crate::dice::Dice;
use crate::fault::{Fault, Tear};

/// All calls of a store except commits.
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

/// What happens to a call before it is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disturbance {
    /// First it yields to other tasks this many times.
    pub yields: u64,
    /// Then it waits this long.
    pub delay: Duration,
    /// Then it fails.
    pub fails: bool,
}

/// Decides the fault of each call, in the order of the calls.
pub trait Plan: Send {
    /// The number of yields to other tasks, and the fault of this commit.
    fn commit(&mut self, batch: &[Placed]) -> (u64, Fault);

    /// The disturbance of any other call.
    fn call(&mut self, call: Call) -> Disturbance;
}

/// How often each fault happens: once in this many calls; never for zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// The maximum number of yields of a call. This shuffles the order of events.
    pub yields: u64,
    /// Slow calls.
    pub slow: u64,
    /// The maximum time of a slow call, once before it and once after it.
    pub slowest: Duration,
    /// Commits that are refused.
    pub refused: u64,
    /// Commits whose answer is lost; half of them have happened.
    pub lost: u64,
    /// Commits during which the machine goes down, with all, some or none of the batch's appends written.
    pub torn: u64,
    /// Other calls that fail.
    pub failing_call: u64,
}

/// A plan whose decisions follow from a seed.
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

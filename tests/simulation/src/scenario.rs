//! The kinds of faults in a run, and its random settings.

use std::time::Duration;

use bytesize::ByteSize;
use dormouse_config::{Config, SnapshotStrategy};
use dormouse_faults::{Dice, Odds};

/// A kind of run. The seed decides what exactly happens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scenario {
    /// Its name in messages.
    pub name: &'static str,
    /// Processes crash, also during a commit.
    pub crashes: bool,
    /// Processes drain, and others start where they ended.
    pub drains: bool,
    /// Another node takes over from a node that runs on.
    pub zombies: bool,
    /// Commits are refused or lose their answers; other calls fail.
    pub failing_store: bool,
    /// Domain code panics.
    pub panics: bool,
}

impl Scenario {
    /// All at once.
    #[must_use]
    pub const fn everything() -> Self {
        Self { name: "everything", crashes: true, drains: true, zombies: true, failing_store: true, panics: true }
    }

    pub(crate) fn odds(&self, dice: &mut Dice) -> Odds {
        let when = |is: bool, odds: u64| if is { odds } else { 0 };
        Odds {
            yields: dice.below(4),
            slow: dice.pick(&[0, 2, 5, 20]),
            slowest: Duration::from_millis(dice.pick(&[1, 5, 30])),
            refused: when(self.failing_store, 40),
            lost: when(self.failing_store, dice.pick(&[4, 10, 30])),
            torn: when(self.crashes, 40),
            failing_call: when(self.failing_store, 40),
        }
    }
}

/// Settings that unload aggregates at every opportunity, often without keeping their state.
pub(crate) fn hurried(dice: &mut Dice) -> Config {
    let mut config = Config::embedded();
    config.runtime.shards = 2.try_into().unwrap();
    config.passivation.idle_after = Duration::from_millis(dice.pick(&[0, 0, 3, 1000]));
    config.passivation.sweep_interval = Duration::from_millis(dice.pick(&[1, 5, 20]));
    config.passivation.max_live = dice.pick(&[1_usize, 2, 100]).try_into().unwrap();
    config.passivation.dormant_budget = dice.pick(&[ByteSize::b(0), ByteSize::mib(1)]);
    // Not adaptive, because that measures real time.
    config.snapshots.strategy = dice.pick(&[SnapshotStrategy::EveryN, SnapshotStrategy::Never]);
    config.snapshots.threshold = dice.pick(&[1_u32, 3, 10]).try_into().unwrap();
    config.commands.recent_keys = dice.pick(&[1_usize, 4, 1024]).try_into().unwrap();
    config.commands.timeout = Duration::from_secs(dice.pick(&[1, 10]));
    config.journal.batch_events = dice.pick(&[3_usize, 1024]).try_into().unwrap();
    config.supervision.restarts = 1_000;
    config.supervision.backoff_min = Duration::from_millis(1);
    config.supervision.backoff_max = Duration::from_millis(1);
    config
}

//! When a snapshot is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_config::{SnapshotStrategy, Snapshots};

/// An aggregate that falls asleep is snapshotted at a fifth of the threshold: the snapshot makes the next wake-up
/// cheaper, and no request waits for it now.
const ASLEEP_FRACTION: u64 = 5;

/// The occasions on which a snapshot may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotTrigger {
    /// A command was decided and applied.
    Command,
    /// The aggregate falls asleep.
    Passivation,
}

/// The configured strategy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    strategy: SnapshotStrategy,
    threshold: u64,
    replay_budget: Duration,
}

impl Policy {
    pub(crate) fn from_config(config: &Snapshots) -> Self {
        Self {
            strategy: config.strategy,
            threshold: u64::from(config.threshold.get()),
            replay_budget: config.replay_budget,
        }
    }

    /// Whether a snapshot is due, `events` after the last one.
    pub(crate) fn is_due(&self, trigger: SnapshotTrigger, events: u64, cost: &ReplayCost) -> bool {
        let fraction = match trigger {
            SnapshotTrigger::Command => 1,
            SnapshotTrigger::Passivation => ASLEEP_FRACTION,
        };
        let enough = events > 0 && events >= self.threshold / fraction;
        match self.strategy {
            SnapshotStrategy::Never => false,
            SnapshotStrategy::EveryN => enough,
            // Below the threshold a snapshot costs more than it can save, even if the events are slow.
            SnapshotStrategy::Adaptive => {
                enough
                    && cost.per_event().saturating_mul(u32::try_from(events).unwrap_or(u32::MAX))
                        >= self.replay_budget / fraction as u32
            }
        }
    }
}

/// How long it takes to read and replay one event of an aggregate type: a moving average over the replays that begin at
/// the first event.
#[derive(Debug)]
pub(crate) struct ReplayCost {
    nanoseconds: AtomicU64,
}

impl Default for ReplayCost {
    fn default() -> Self {
        // Until it is measured: about the time to read a small event from SQLite and to decode it.
        Self { nanoseconds: AtomicU64::new(10_000) }
    }
}

impl ReplayCost {
    /// Reports that a replay read `events` in the time `took`. Short replays are ignored: they measure the lookup more
    /// than the events.
    pub(crate) fn measured(&self, events: u64, took: Duration) {
        const ENOUGH: u64 = 8;
        if events < ENOUGH {
            return;
        }
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / events;
        let old = self.nanoseconds.load(Ordering::Relaxed);
        // Of two concurrent updates, one may be lost.
        self.nanoseconds.store((old.saturating_mul(7).saturating_add(sample)) / 8, Ordering::Relaxed);
    }

    fn per_event(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(strategy: SnapshotStrategy) -> Policy {
        Policy { strategy, threshold: 50, replay_budget: Duration::from_millis(2) }
    }

    fn cost(per_event: Duration) -> ReplayCost {
        ReplayCost { nanoseconds: AtomicU64::new(per_event.as_nanos() as u64) }
    }

    #[test]
    fn every_n_snapshots_at_the_threshold() {
        let policy = policy(SnapshotStrategy::EveryN);
        assert!(!policy.is_due(SnapshotTrigger::Command, 49, &ReplayCost::default()));
        assert!(policy.is_due(SnapshotTrigger::Command, 50, &ReplayCost::default()));
    }

    #[test]
    fn adaptive_waits_until_replay_costs_more_than_its_budget() {
        let policy = policy(SnapshotStrategy::Adaptive);
        let cheap = cost(Duration::from_micros(1));
        assert!(!policy.is_due(SnapshotTrigger::Command, 1_999, &cheap));
        assert!(policy.is_due(SnapshotTrigger::Command, 2_000, &cheap));
        let dear = cost(Duration::from_millis(1));
        assert!(!policy.is_due(SnapshotTrigger::Command, 49, &dear), "below the threshold");
        assert!(policy.is_due(SnapshotTrigger::Command, 50, &dear));
    }

    #[test]
    fn when_an_aggregate_falls_asleep_a_fifth_of_the_threshold_is_enough() {
        let policy = policy(SnapshotStrategy::EveryN);
        assert!(!policy.is_due(SnapshotTrigger::Passivation, 9, &ReplayCost::default()));
        assert!(policy.is_due(SnapshotTrigger::Passivation, 10, &ReplayCost::default()));
    }

    #[test]
    fn the_strategy_never_takes_none() {
        assert!(!policy(SnapshotStrategy::Never).is_due(
            SnapshotTrigger::Passivation,
            1_000_000,
            &ReplayCost::default()
        ));
    }

    #[test]
    fn the_measured_cost_follows_what_wake_ups_take() {
        let cost = ReplayCost::default();
        (0..100).for_each(|_| cost.measured(10, Duration::from_millis(1)));
        let per_event = cost.per_event();
        assert!(per_event > Duration::from_micros(95) && per_event < Duration::from_micros(105), "{per_event:?}");
    }
}

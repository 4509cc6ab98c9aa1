//! How many aggregates are live on a node.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::admission::ActivationState;

/// The live aggregates of all types, and how many of them fall asleep.
#[derive(Debug, Default)]
pub(crate) struct LiveCount {
    live: AtomicUsize,
    falling_asleep: AtomicUsize,
}

impl LiveCount {
    /// Counts an activation that starts. Returns how many aggregates are live now.
    pub(crate) fn started(&self) -> usize {
        self.live.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts an aggregate that was told to sleep. It stays live until its activation ends.
    pub(crate) fn falls_asleep(&self) {
        self.falling_asleep.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an activation that ended.
    pub(crate) fn ended(&self, activation: &ActivationState) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        if activation.is_falling_asleep() {
            self.falling_asleep.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// All live aggregates, those that fall asleep included.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// The live aggregates that do not fall asleep. The limit counts these, so that a sweep does not unload further
    /// aggregates in place of those that are about to end.
    pub(crate) fn staying(&self) -> usize {
        self.live().saturating_sub(self.falling_asleep.load(Ordering::Relaxed))
    }
}

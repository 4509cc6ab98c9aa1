//! Pauses between attempts.

use std::time::Duration;

/// How long to wait after attempts that failed: the first pause, then twice as long each time, up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after this many failures in a row. Zero counts as one.
    #[must_use]
    pub fn pause_after(self, failures: u32) -> Duration {
        // The shift is bounded so that it cannot overflow; by then each pause is as long as can be.
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_first_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(100) };
        let pauses = [0, 1, 2, 3, 4, u32::MAX].map(|failures| backoff.pause_after(failures).as_millis());
        assert_eq!(pauses, [20, 20, 40, 80, 100, 100]);
    }
}

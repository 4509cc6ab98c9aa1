//! The recent rate of events.

use std::time::Duration;

use tokio::time::Instant;

/// An event this long ago counts for about a third (1/e) of an event now: long enough to smooth batches, short enough
/// to show a change.
const TIME_CONSTANT: Duration = Duration::from_secs(5);

/// Events per second, as an exponential moving average over time.
#[derive(Debug)]
pub(crate) struct EventRate {
    updated_at: Instant,
    /// `None` before the first events.
    per_second: Option<f64>,
}

impl EventRate {
    pub(crate) fn from(now: Instant) -> Self {
        Self { updated_at: now, per_second: None }
    }

    /// Counts the events since the last call, and returns the rate.
    pub(crate) fn record(&mut self, events: usize, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.updated_at).as_secs_f64().max(1e-6);
        self.updated_at = now;
        let latest = events as f64 / passed;
        let weight = 1.0 - (-passed / TIME_CONSTANT.as_secs_f64()).exp();
        let smoothed = self.per_second.map_or(latest, |before| before + weight * (latest - before));
        *self.per_second.insert(smoothed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_steady_over_uneven_batches_and_follows_a_change() {
        let mut now = Instant::now();
        let mut event_rate = EventRate::from(now);
        let mut rate = 0.0;
        for number in 0..1000 {
            let events = 50 + 100 * (number % 2);
            now += Duration::from_millis(events);
            rate = event_rate.record(events as usize, now);
        }
        assert!((rate - 1000.0).abs() < 1.0, "{rate}");
        for _ in 0..300 {
            now += Duration::from_millis(100);
            rate = event_rate.record(10, now);
        }
        assert!((rate - 100.0).abs() < 10.0, "{rate}");
    }
}

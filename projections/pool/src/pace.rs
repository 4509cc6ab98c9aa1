//! How fast something goes, of late.

use std::time::Duration;

use tokio::time::Instant;

/// What happened this long ago counts for about a third (1/e) of what happens now: long enough to smooth batches, short
/// enough to show that something has changed.
const MEMORY: Duration = Duration::from_secs(5);

/// Events per second, as an exponential moving average over time.
#[derive(Debug)]
pub(crate) struct Pace {
    noted: Instant,
    /// `None` before the first events.
    per_second: Option<f64>,
}

impl Pace {
    pub(crate) fn from(now: Instant) -> Self {
        Self { noted: now, per_second: None }
    }

    /// So many events have come since it was told last; says how fast that is.
    pub(crate) fn note(&mut self, events: usize, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.noted).as_secs_f64().max(1e-6);
        self.noted = now;
        let latest = events as f64 / passed;
        let weight = 1.0 - (-passed / MEMORY.as_secs_f64()).exp();
        let smoothed = self.per_second.map_or(latest, |before| before + weight * (latest - before));
        *self.per_second.insert(smoothed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_steady_over_uneven_batches_and_follows_a_change() {
        let mut now = Instant::now();
        let mut pace = Pace::from(now);
        let mut noted = 0.0;
        for number in 0..1000 {
            let events = 50 + 100 * (number % 2);
            now += Duration::from_millis(events);
            noted = pace.note(events as usize, now);
        }
        assert!((noted - 1000.0).abs() < 1.0, "{noted}");
        for _ in 0..300 {
            now += Duration::from_millis(100);
            noted = pace.note(10, now);
        }
        assert!((noted - 100.0).abs() < 10.0, "{noted}");
    }
}

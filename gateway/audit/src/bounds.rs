//! How much is written: the size of the log, and how many noted entries it takes.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::entry::Action;
use crate::limits::{NOTES_BURST, NOTES_PER_SECOND, NOTES_QUARTERS, SEGMENT_BYTES, SUPPRESSED_EVERY};

/// How much is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most bytes of all segments.
    pub(crate) log_bytes: u64,
    /// The most bytes of a segment.
    pub(crate) segment_bytes: u64,
    /// Noted entries at once, for each action.
    pub(crate) notes_burst: u32,
    /// Noted entries a second, for each action.
    pub(crate) notes_per_second: u32,
    /// The time between two entries that say how many notes were suppressed.
    pub(crate) suppressed_every: Duration,
}

impl Bounds {
    pub(crate) const fn of(log_bytes: u64) -> Self {
        Self {
            log_bytes,
            segment_bytes: SEGMENT_BYTES,
            notes_burst: NOTES_BURST,
            notes_per_second: NOTES_PER_SECOND,
            suppressed_every: SUPPRESSED_EVERY,
        }
    }

    /// The most bytes of the log up to which notes are written.
    pub(crate) const fn notes_bytes(&self) -> u64 {
        self.log_bytes / 4 * NOTES_QUARTERS
    }
}

/// Decides which notes are written, and counts the others. Each action has a bucket of its own: a flood of refused
/// callers does not hide a login.
#[derive(Debug)]
pub(crate) struct Notes {
    burst: f64,
    per_second: f64,
    buckets: HashMap<Action, Bucket>,
    suppressed: BTreeMap<Action, u64>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Notes {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let (burst, per_second) = (f64::from(bounds.notes_burst), f64::from(bounds.notes_per_second));
        Self { burst, per_second, buckets: HashMap::new(), suppressed: BTreeMap::new() }
    }

    /// Whether a note is written. One that is not is still to be counted ([`suppress`](Self::suppress)).
    pub(crate) fn admit(&mut self, action: Action, now: Instant) -> bool {
        let burst = self.burst;
        let bucket = self.buckets.entry(action).or_insert(Bucket { tokens: burst, filled_at: now });
        let seconds = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        bucket.tokens = (bucket.tokens + seconds * self.per_second).min(burst);
        bucket.filled_at = now;
        let has_one = bucket.tokens >= 1.0;
        if has_one {
            bucket.tokens -= 1.0;
        }
        has_one
    }

    /// Counts a note that is not written. Returns whether it is the first since the counts were taken.
    pub(crate) fn suppress(&mut self, action: Action, count: u64) -> bool {
        let is_first = self.suppressed.is_empty();
        *self.suppressed.entry(action).or_default() += count;
        is_first
    }

    /// The counts since this was called last.
    pub(crate) fn take_suppressed(&mut self) -> BTreeMap<Action, u64> {
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_for_each_action_and_counted_beyond() {
        let bounds = Bounds { notes_burst: 3, notes_per_second: 2, ..Bounds::of(1) };
        let (mut notes, start) = (Notes::new(&bounds), Instant::now());
        let admitted = |notes: &mut Notes, action, at| (0..10).filter(|_| notes.admit(action, start + at)).count();
        assert_eq!(admitted(&mut notes, Action::CallerRefused, Duration::ZERO), 3);
        assert_eq!(admitted(&mut notes, Action::Login, Duration::ZERO), 3, "a flood of one action hides no other");
        assert_eq!(admitted(&mut notes, Action::CallerRefused, Duration::from_millis(500)), 1);
        assert_eq!(admitted(&mut notes, Action::CallerRefused, Duration::from_secs(60)), 3);
        assert!(notes.suppress(Action::Login, 1) && !notes.suppress(Action::Login, 4));
        assert_eq!(notes.take_suppressed(), BTreeMap::from([(Action::Login, 5)]));
        assert!(notes.take_suppressed().is_empty());
    }
}

//! Whether the clock can be right: whatever is stored was recorded before now.

use std::time::Duration;

use dormouse_journal::{Journal, PageLimit};
use dormouse_kernel::{Clock, Position, Timestamp};
use tracing::warn;

/// Clocks of one site differ by less. PreviousActivations this, an event that lies ahead of the clock says that a clock was or is wrong.
const TOLERANCE: Duration = Duration::from_secs(10);

/// No event is older than Dormouse. A clock that shows an earlier time, 2025-01-01, has not been set: machines without a battery
/// for it begin in 1970.
const EARLIEST_SECOND: i64 = 1_735_689_600;

/// The time of what follows an event recorded at `last`. Time does not run backwards, unless `last` lies more than `carried_max`
/// ahead: then it was the clock of that time that was wrong, if this one has been set at all.
pub(crate) fn time_after(last: Timestamp, now: Timestamp, carried_max: Duration) -> Timestamp {
    let ahead = last.duration_since(now);
    let is_carried = ahead.is_positive() && (ahead.unsigned_abs() <= carried_max || now.as_second() < EARLIEST_SECOND);
    if is_carried { last } else { now }
}

/// How far an event lies ahead of the clock, if that says that a clock was or is wrong.
pub(crate) fn ahead_of(clock: &dyn Clock, recorded_at: Timestamp) -> Option<Duration> {
    let ahead = recorded_at.duration_since(clock.now());
    (ahead.is_positive() && ahead.unsigned_abs() > TOLERANCE).then(|| ahead.unsigned_abs())
}

/// When the newest event of a journal was recorded. Says so in the log, if that lies ahead of the clock.
pub(crate) async fn newest_event(journal: &Journal, clock: &dyn Clock) -> Option<Timestamp> {
    let before = Position(journal.head().borrow().0.checked_sub(1)?);
    let page = journal.read_log(before, PageLimit::ONE).await;
    let page = page.inspect_err(|error| warn!(%error, "cannot compare the clock with the newest event")).ok()?;
    let newest_event = page.first()?.event.recorded_at;
    if let Some(ahead) = ahead_of(clock, newest_event) {
        let ahead_seconds = ahead.as_secs();
        warn!(%newest_event, ahead_seconds, "the newest event of the journal lies ahead of the clock: is the clock right?");
    }
    Some(newest_event)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn time_runs_on_and_stands_still_behind_an_event_that_lies_a_little_ahead() {
        let last = at("2026-11-25T12:00:00Z");
        for (now, expected) in [
            ("2026-11-25T12:00:01Z", "2026-11-25T12:00:01Z"),
            ("2026-11-25T11:59:59Z", "2026-11-25T12:00:00Z"),
            ("2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z"),
        ] {
            assert_eq!(time_after(last, at(now), DAY), at(expected), "{now}");
        }
    }

    #[test]
    fn an_event_that_lies_far_ahead_of_a_clock_that_was_set_is_not_followed() {
        let now = at("2026-11-25T12:00:00Z");
        assert_eq!(time_after(at("2026-11-26T12:00:01Z"), now, DAY), now);
        assert_eq!(time_after(at("2099-01-01T00:00:00Z"), now, DAY), now);
        assert_eq!(time_after(at("2026-11-25T12:00:01Z"), now, Duration::ZERO), now);
        let last = at("2026-11-25T12:00:00Z");
        assert_eq!(time_after(last, at("1970-01-01T00:05:00Z"), DAY), last, "a clock that was never set");
    }
}

//! Whether the clock can be right: all stored events were recorded before now.

use std::time::Duration;

use dormouse_journal::{Journal, PageLimit};
use dormouse_kernel::{Clock, Position, Timestamp};
use tracing::warn;

/// The clocks of one site differ by less. An event that is further ahead of the clock shows that a clock was or is
/// wrong.
const TOLERANCE: Duration = Duration::from_secs(10);

/// 2025-01-01. No event is older than Dormouse. A clock that shows an earlier time has not been set: machines without a
/// battery for the clock begin in 1970.
const EARLIEST_SECOND: i64 = 1_735_689_600;

/// The time of the event after one recorded at `last`. Time does not run backwards, unless `last` is more than
/// `carried_max` ahead. Then the clock of that time was wrong, provided that this clock has been set at all.
pub(crate) fn time_after(last: Timestamp, now: Timestamp, carried_max: Duration) -> Timestamp {
    let ahead = last.duration_since(now);
    let is_carried = ahead.is_positive() && (ahead.unsigned_abs() <= carried_max || now.as_second() < EARLIEST_SECOND);
    if is_carried { last } else { now }
}

/// How far an event is ahead of the clock, if that shows that a clock was or is wrong.
pub(crate) fn ahead_of(clock: &dyn Clock, recorded_at: Timestamp) -> Option<Duration> {
    let ahead = recorded_at.duration_since(clock.now());
    (ahead.is_positive() && ahead.unsigned_abs() > TOLERANCE).then(|| ahead.unsigned_abs())
}

/// When the newest event of a journal was recorded. It logs a warning if that is ahead of the clock.
pub(crate) async fn newest_event(journal: &Journal, clock: &dyn Clock) -> Option<Timestamp> {
    let before = Position(journal.head().borrow().0.checked_sub(1)?);
    let page = journal.read_log(before, PageLimit::ONE).await;
    let page = page
        .inspect_err(|error| warn!(%error, "cannot read the newest event, its time is not compared to the clock"))
        .ok()?;
    let newest_event = page.first()?.event.recorded_at;
    if let Some(ahead) = ahead_of(clock, newest_event) {
        let ahead_seconds = ahead.as_secs();
        warn!(%newest_event, ahead_seconds, "the newest event of the journal is ahead of the clock: check the clock");
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
    fn time_runs_on_and_stops_behind_an_event_that_is_a_little_ahead() {
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
    fn an_event_that_is_far_ahead_of_a_clock_that_was_set_does_not_carry_its_time() {
        let now = at("2026-11-25T12:00:00Z");
        assert_eq!(time_after(at("2026-11-26T12:00:01Z"), now, DAY), now);
        assert_eq!(time_after(at("2099-01-01T00:00:00Z"), now, DAY), now);
        assert_eq!(time_after(at("2026-11-25T12:00:01Z"), now, Duration::ZERO), now);
        let last = at("2026-11-25T12:00:00Z");
        assert_eq!(time_after(last, at("1970-01-01T00:05:00Z"), DAY), last, "a clock that was never set");
    }
}

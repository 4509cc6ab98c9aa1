//! The days of a time zone.

use dormouse_kernel::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::TimeZoneName;

/// The days of a time zone: when each begins, and which one follows. Days have 23 or 25 hours when summer time begins
/// or ends, and a zone that moves across the date line has no such day at all, as Samoa on 30 December 2011.
#[derive(Clone, Debug)]
pub(super) struct Calendar(TimeZone);

impl Calendar {
    /// The calendar of a zone. A stored name that this version of the database does not have counts as UTC, because
    /// history cannot be refused.
    pub(super) fn of(zone: &TimeZoneName) -> Self {
        Self(zone.rules().unwrap_or(TimeZone::UTC))
    }

    /// The day on which `time` is.
    pub(super) fn day_of(&self, time: Timestamp) -> Date {
        self.0.to_datetime(time).date()
    }

    /// The next day that the zone has.
    pub(super) fn day_after(&self, day: Date) -> Date {
        let next = day.tomorrow().unwrap_or(day);
        // The first moment of a day that the zone skips is on the day after it.
        next.to_zoned(self.0.clone()).map_or(next, |start| start.date())
    }

    /// When a streak ends whose last day is `last`: when the day after it is over.
    pub(super) fn end_of_streak(&self, last: Date) -> Timestamp {
        let day = self.day_after(self.day_after(last));
        day.to_zoned(self.0.clone()).map_or(Timestamp::MAX, |start| start.timestamp())
    }

    /// Whether a streak whose last day is `last` can still go on at `now`.
    pub(super) fn goes_on(&self, last: Date, now: Timestamp) -> bool {
        self.day_of(now) <= self.day_after(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str) -> Calendar {
        Calendar::of(&TimeZoneName::new(zone).unwrap())
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_zone() {
        let berlin = calendar("Europe/Berlin");
        assert_eq!(berlin.day_of(time("2026-03-28T22:59:59Z")), day("2026-03-28"));
        assert_eq!(berlin.day_of(time("2026-03-28T23:00:00Z")), day("2026-03-29"));
        // Summer time has begun in between.
        assert_eq!(berlin.day_of(time("2026-03-29T21:59:59Z")), day("2026-03-29"));
        assert_eq!(berlin.day_of(time("2026-03-29T22:00:00Z")), day("2026-03-30"));
    }

    #[test]
    fn a_streak_ends_when_the_day_after_its_last_is_over() {
        for (zone, last, end) in [
            ("UTC", "2026-11-20", "2026-11-22T00:00:00Z"),
            ("Europe/Berlin", "2026-03-27", "2026-03-28T23:00:00Z"),
            ("Europe/Berlin", "2026-03-28", "2026-03-29T22:00:00Z"),
            ("America/New_York", "2026-10-31", "2026-11-02T05:00:00Z"),
            ("Asia/Kolkata", "2026-11-20", "2026-11-21T18:30:00Z"),
            // Midnight does not exist on the day on which summer time begins there.
            ("Asia/Beirut", "2022-03-25", "2022-03-26T22:00:00Z"),
        ] {
            assert_eq!(calendar(zone).end_of_streak(day(last)), time(end), "{zone} {last}");
        }
    }

    #[test]
    fn a_day_that_the_zone_skips_is_not_missed() {
        let apia = calendar("Pacific/Apia");
        assert_eq!(apia.day_after(day("2011-12-29")), day("2011-12-31"));
        assert!(apia.goes_on(day("2011-12-29"), time("2011-12-31T09:59:59Z")));
        assert!(!apia.goes_on(day("2011-12-29"), time("2011-12-31T10:00:00Z")));
        assert_eq!(apia.end_of_streak(day("2011-12-29")), time("2011-12-31T10:00:00Z"));
    }

    #[test]
    fn a_streak_on_the_last_days_of_time_ends_with_time() {
        assert_eq!(calendar("UTC").end_of_streak(Date::MAX), calendar("UTC").end_of_streak(day("9999-12-30")));
        assert!(calendar("UTC").goes_on(Date::MAX, Timestamp::MAX));
    }

    #[test]
    fn a_zone_that_the_database_does_not_have_counts_as_utc() {
        assert_eq!(calendar("Europe/Atlantis").day_of(time("2026-11-20T23:30:00Z")), day("2026-11-20"));
    }
}

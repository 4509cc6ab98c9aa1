//! A run of days of learning.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::academy::calendar::Calendar;
use crate::academy::limits::DAY_RUNS;

/// Days of learning that follow each other, without a missed day between them.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DayRun {
    /// How many days. A day that the user's time zone skipped does not count.
    pub days: u32,
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
}

impl DayRun {
    /// The run that `day` makes with its neighbours among `runs`, which are in order. `None` if the day is in one of
    /// them, or so old that this cannot be known.
    pub(super) fn joining(runs: &[Self], day: Date, calendar: &Calendar) -> Option<Self> {
        let following = runs.partition_point(|run| run.first <= day);
        let (before, after) = (following.checked_sub(1).and_then(|at| runs.get(at)), runs.get(following));
        let is_recorded = before.is_some_and(|run| day <= run.last);
        let is_too_old = before.is_none() && runs.len() >= DAY_RUNS;
        if is_recorded || is_too_old {
            return None;
        }
        let before = before.filter(|run| calendar.day_after(run.last) == day);
        let after = after.filter(|run| calendar.day_after(day) == run.first);
        let days = |run: Option<&Self>| run.map_or(0, |run| run.days);
        Some(Self {
            days: days(before).saturating_add(days(after)).saturating_add(1),
            first: before.map_or(day, |run| run.first),
            last: after.map_or(day, |run| run.last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::academy::user::stories::{day, run};

    fn joining(runs: &[DayRun], date: &str) -> Option<DayRun> {
        DayRun::joining(runs, day(date), &Calendar::of(&Default::default()))
    }

    #[test]
    fn a_day_joins_the_runs_before_and_after_it() {
        let runs = [run("2026-11-02", "2026-11-03", 2), run("2026-11-06", "2026-11-06", 1)];
        assert_eq!(joining(&runs, "2026-10-31"), Some(run("2026-10-31", "2026-10-31", 1)));
        assert_eq!(joining(&runs, "2026-11-01"), Some(run("2026-11-01", "2026-11-03", 3)));
        assert_eq!(joining(&runs, "2026-11-04"), Some(run("2026-11-02", "2026-11-04", 3)));
        assert_eq!(joining(&runs, "2026-11-05"), Some(run("2026-11-05", "2026-11-06", 2)));
        assert_eq!(joining(&runs, "2026-11-08"), Some(run("2026-11-08", "2026-11-08", 1)));
        let close = [run("2026-11-02", "2026-11-03", 2), run("2026-11-05", "2026-11-06", 2)];
        assert_eq!(joining(&close, "2026-11-04"), Some(run("2026-11-02", "2026-11-06", 5)));
    }

    #[test]
    fn a_day_in_a_run_changes_nothing() {
        let runs = [run("2026-11-02", "2026-11-04", 3)];
        for date in ["2026-11-02", "2026-11-03", "2026-11-04"] {
            assert_eq!(joining(&runs, date), None, "{date}");
        }
    }

    #[test]
    fn a_day_before_all_runs_that_are_kept_is_too_old() {
        let first = day("2026-01-02");
        let run = |number: i64| {
            let date = first.checked_add(jiff::Span::new().days(2 * number)).unwrap();
            DayRun { days: 1, first: date, last: date }
        };
        let runs: Vec<_> = (0..DAY_RUNS as i64).map(run).collect();
        assert_eq!(joining(&runs, "2026-01-01"), None);
        assert_eq!(joining(&runs[1..], "2026-01-01").map(|run| run.days), Some(1));
        assert_eq!(joining(&runs, "2026-01-03").map(|run| run.days), Some(3));
    }
}

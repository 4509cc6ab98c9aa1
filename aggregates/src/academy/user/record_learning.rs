//! `RecordLearning`: records the day, once, and moves the streak.

use dormouse_kernel::{Context, Timestamp};

use super::{DayRun, STREAK_ENDS, User, UserEvent, schedule_end};
use crate::academy::LessonId;
use crate::academy::calendar::Calendar;

impl User {
    pub(super) fn record_learning(&self, lesson: LessonId, at: Option<Timestamp>, context: &mut Context<Self>) {
        let (calendar, now) = (Calendar::of(&self.time_zone), context.now());
        let date = calendar.day_of(at.unwrap_or(now).min(now));
        let Some(run) = DayRun::joining(&self.runs, date, &calendar) else { return };
        // A day that arrives late may belong to an earlier run.
        let latest = self.runs.last().copied().filter(|latest| run.last < latest.first).unwrap_or(run);
        let last_before = self.last_day().filter(|_| self.streak > 0);
        let missed = last_before.filter(|last_day| *last_day < latest.first);
        if let Some(last_day) = missed {
            // The timer is late.
            context.emit(UserEvent::StreakBroken { days: self.streak, last_day });
        }
        let goes_on = calendar.goes_on(latest.last, now);
        let had_streak = last_before.is_some() && missed.is_none();
        let streak = if goes_on || had_streak { latest.days } else { 0 };
        context.emit(UserEvent::LearningDayRecorded { date, lesson, streak, run });
        if goes_on {
            schedule_end(latest.last, &calendar, context);
        } else if last_before.is_some() {
            if had_streak {
                context.emit(UserEvent::StreakBroken { days: streak, last_day: latest.last });
            }
            context.cancel(STREAK_ENDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{At, ExpectedTimer, Given};

    use super::*;
    use crate::academy::UserCommand::{EndStreak, RecordLearning};
    use crate::academy::UserReply;
    use crate::academy::stories::{lesson, time};
    use crate::academy::user::stories::{broken, day, learn, learned, recorded, registered, run};

    fn ends(due: &str) -> ExpectedTimer<User> {
        ExpectedTimer::set("streak-ends", At(time(due)), EndStreak)
    }

    fn learned_at(at: &str) -> crate::academy::UserCommand {
        RecordLearning { lesson: lesson("l-1"), at: Some(time(at)) }
    }

    #[test]
    fn the_first_day_begins_a_streak_also_without_registration() {
        Given::<User>::nothing()
            .with_id("ada")
            .at(time("2026-11-20T12:00:00Z"))
            .when(learn())
            .then([recorded("2026-11-20", 1, run("2026-11-20", "2026-11-20", 1))])
            .then_scheduled([ends("2026-11-22T00:00:00Z")])
            .and_replies(&UserReply { streak: 1, longest_streak: 1, last_day: Some(day("2026-11-20")) });
    }

    #[test]
    fn the_next_day_continues_the_streak() {
        Given::<User>::events([learned("2026-11-20", 1)])
            .at(time("2026-11-21T00:00:00Z"))
            .when(learn())
            .then([recorded("2026-11-21", 2, run("2026-11-20", "2026-11-21", 2))])
            .then_scheduled([ends("2026-11-23T00:00:00Z")]);
    }

    #[test]
    fn a_day_counts_once() {
        Given::<User>::events([learned("2026-11-20", 1)])
            .at(time("2026-11-20T23:59:59Z"))
            .when(learn())
            .then([])
            .then_scheduled([])
            .and_replies(&UserReply { streak: 1, longest_streak: 1, last_day: Some(day("2026-11-20")) });
    }

    #[test]
    fn the_day_is_that_of_the_time_zone() {
        for (zone, date) in [("Asia/Tokyo", "2026-11-21"), ("America/New_York", "2026-11-20")] {
            Given::<User>::events([registered(zone)]).at(time("2026-11-20T16:00:00Z")).when(learn()).then([recorded(
                date,
                1,
                run(date, date, 1),
            )]);
        }
    }

    #[test]
    fn a_new_streak_begins_after_a_missed_day_and_the_longest_stays() {
        let past = [learned("2026-11-20", 1), learned("2026-11-21", 2), broken(2, "2026-11-21")];
        let after = Given::<User>::events(past)
            .at(time("2026-11-23T08:00:00Z"))
            .when(learn())
            .then([recorded("2026-11-23", 1, run("2026-11-23", "2026-11-23", 1))])
            .and_replies(&UserReply { streak: 1, longest_streak: 2, last_day: Some(day("2026-11-23")) });
        assert_eq!(after.state().runs.len(), 2);
    }

    #[test]
    fn learning_breaks_a_streak_if_the_timer_is_late() {
        Given::<User>::events([learned("2026-11-20", 1)])
            .at(time("2026-11-22T08:00:00Z"))
            .when(learn())
            .then([broken(1, "2026-11-20"), recorded("2026-11-22", 1, run("2026-11-22", "2026-11-22", 1))])
            .then_scheduled([ends("2026-11-24T00:00:00Z")]);
    }

    #[test]
    fn a_report_that_arrives_late_counts_on_its_day() {
        Given::<User>::events([learned("2026-11-20", 1), broken(1, "2026-11-20")])
            .at(time("2026-11-22T08:00:00Z"))
            .when(learned_at("2026-11-21T23:00:00Z"))
            .then([recorded("2026-11-21", 2, run("2026-11-20", "2026-11-21", 2))])
            .then_scheduled([ends("2026-11-23T00:00:00Z")]);
    }

    #[test]
    fn a_late_day_closes_the_gap_before_a_later_one() {
        let past = [learned("2026-11-20", 1), broken(1, "2026-11-20"), learned("2026-11-22", 1)];
        Given::<User>::events(past)
            .at(time("2026-11-22T08:00:00Z"))
            .when(learned_at("2026-11-21T23:00:00Z"))
            .then([recorded("2026-11-21", 3, run("2026-11-20", "2026-11-22", 3))])
            .and_replies(&UserReply { streak: 3, longest_streak: 3, last_day: Some(day("2026-11-22")) });
    }

    #[test]
    fn a_late_day_of_an_earlier_run_leaves_the_streak_as_it_is() {
        Given::<User>::events([learned("2026-11-20", 1)])
            .at(time("2026-11-20T08:00:00Z"))
            .when(learned_at("2026-11-01T08:00:00Z"))
            .then([recorded("2026-11-01", 1, run("2026-11-01", "2026-11-01", 1))])
            .and_replies(&UserReply { streak: 1, longest_streak: 1, last_day: Some(day("2026-11-20")) });
    }

    #[test]
    fn a_day_that_arrives_after_the_end_of_its_streak_counts_for_the_longest_only() {
        Given::<User>::events([learned("2026-11-20", 1), broken(1, "2026-11-20")])
            .at(time("2026-11-25T08:00:00Z"))
            .when(learned_at("2026-11-21T08:00:00Z"))
            .then([recorded("2026-11-21", 0, run("2026-11-20", "2026-11-21", 2))])
            .then_scheduled([])
            .and_replies(&UserReply { streak: 0, longest_streak: 2, last_day: Some(day("2026-11-21")) });
    }

    #[test]
    fn a_late_day_breaks_the_streak_that_it_makes_longer_if_the_timer_is_late_too() {
        Given::<User>::events([learned("2026-11-20", 1)])
            .at(time("2026-11-25T08:00:00Z"))
            .when(learned_at("2026-11-21T08:00:00Z"))
            .then([recorded("2026-11-21", 2, run("2026-11-20", "2026-11-21", 2)), broken(2, "2026-11-21")])
            .then_scheduled([ExpectedTimer::cancelled("streak-ends")]);
    }

    #[test]
    fn a_time_in_the_future_counts_as_now() {
        Given::<User>::nothing()
            .at(time("2026-11-20T12:00:00Z"))
            .when(learned_at("2030-01-01T00:00:00Z"))
            .then([recorded("2026-11-20", 1, run("2026-11-20", "2026-11-20", 1))]);
    }
}

//! `EndStreak`: breaks the streak if a whole day has passed without learning.

use dormouse_kernel::Context;

use super::{STREAK_ENDS, User, UserEvent, schedule_end};
use crate::academy::calendar::Calendar;

impl User {
    /// Breaks the streak if it is over, else sets the timer for its end. The clock may have been set back since the
    /// timer was set, so the timer alone does not decide.
    pub(super) fn end_streak(&self, calendar: &Calendar, context: &mut Context<Self>) {
        let Some(last_day) = self.last_day().filter(|_| self.streak > 0) else { return };
        if calendar.goes_on(last_day, context.now()) {
            schedule_end(last_day, calendar, context);
        } else {
            context.emit(UserEvent::StreakBroken { days: self.streak, last_day });
            context.cancel(STREAK_ENDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{At, ExpectedTimer, Given};

    use super::*;
    use crate::academy::UserCommand::EndStreak;
    use crate::academy::UserReply;
    use crate::academy::stories::time;
    use crate::academy::user::stories::{broken, day, learned, registered};

    #[test]
    fn a_streak_is_broken_when_a_day_was_missed() {
        Given::<User>::events([registered("Europe/Berlin"), learned("2026-11-20", 1)])
            .at(time("2026-11-21T23:00:00Z"))
            .when(EndStreak)
            .then([broken(1, "2026-11-20")])
            .and_replies(&UserReply { streak: 0, longest_streak: 1, last_day: Some(day("2026-11-20")) });
    }

    #[test]
    fn a_timer_that_is_early_is_set_again() {
        Given::<User>::events([registered("Europe/Berlin"), learned("2026-11-20", 1)])
            .at(time("2026-11-21T22:59:59Z"))
            .when(EndStreak)
            .then([])
            .then_scheduled([ExpectedTimer::set("streak-ends", At(time("2026-11-21T23:00:00Z")), EndStreak)]);
    }

    #[test]
    fn a_streak_is_broken_once() {
        let past = [learned("2026-11-20", 1), broken(1, "2026-11-20")];
        Given::<User>::events(past).at(time("2026-11-23T00:00:00Z")).when(EndStreak).then([]).then_scheduled([]);
        Given::<User>::nothing().when(EndStreak).then([]).then_scheduled([]);
    }
}

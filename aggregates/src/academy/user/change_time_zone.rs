//! `ChangeTimeZone`: from now on, days begin where the new time zone says.

use dormouse_kernel::Context;

use super::{User, UserEvent, UserRejection};
use crate::academy::TimeZoneName;

impl User {
    pub(super) fn change_time_zone(
        &self,
        time_zone: TimeZoneName,
        context: &mut Context<Self>,
    ) -> Result<(), UserRejection> {
        if self.name.is_none() {
            return Err(UserRejection::NotRegistered);
        }
        let calendar = UserRejection::unless_known(&time_zone)?;
        if time_zone != self.time_zone {
            context.emit(UserEvent::TimeZoneChanged { time_zone });
            self.end_streak(&calendar, context);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{At, ExpectedTimer, Given};

    use super::*;
    use crate::academy::UserCommand::{ChangeTimeZone, EndStreak};
    use crate::academy::stories::{time, zone};
    use crate::academy::user::stories::{broken, learned, registered};

    fn change_to(name: &str) -> crate::academy::UserCommand {
        ChangeTimeZone { time_zone: zone(name) }
    }

    fn changed_to(name: &str) -> UserEvent {
        UserEvent::TimeZoneChanged { time_zone: zone(name) }
    }

    #[test]
    fn the_streak_ends_by_the_days_of_the_new_zone() {
        Given::<User>::events([registered("UTC"), learned("2026-11-20", 1)])
            .at(time("2026-11-20T12:00:00Z"))
            .when(change_to("America/New_York"))
            .then([changed_to("America/New_York")])
            .then_scheduled([ExpectedTimer::set("streak-ends", At(time("2026-11-22T05:00:00Z")), EndStreak)]);
    }

    #[test]
    fn a_streak_that_is_over_in_the_new_zone_is_broken() {
        // Late on the 21st in New York, the 22nd has begun in Tokyo.
        Given::<User>::events([registered("America/New_York"), learned("2026-11-20", 1)])
            .at(time("2026-11-22T04:00:00Z"))
            .when(change_to("Asia/Tokyo"))
            .then([changed_to("Asia/Tokyo"), broken(1, "2026-11-20")])
            .then_scheduled([ExpectedTimer::cancelled("streak-ends")]);
    }

    #[test]
    fn without_a_streak_there_is_no_timer() {
        Given::<User>::events([registered("UTC"), learned("2026-11-20", 1), broken(1, "2026-11-20")])
            .when(change_to("Asia/Tokyo"))
            .then([changed_to("Asia/Tokyo")])
            .then_scheduled([]);
    }

    #[test]
    fn the_same_zone_again_changes_nothing() {
        Given::<User>::events([registered("UTC")]).when(change_to("UTC")).then([]).then_scheduled([]);
    }

    #[test]
    fn only_a_registered_user_chooses_and_only_a_zone_that_exists() {
        Given::<User>::nothing().when(change_to("Asia/Tokyo")).then_rejected("user-not-registered");
        Given::<User>::events([registered("UTC")]).when(change_to("Asia/Edo")).then_rejected("unknown-time-zone");
    }
}

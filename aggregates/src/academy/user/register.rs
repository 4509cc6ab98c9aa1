//! `RegisterUser`: registers a user, once, also one that has learned before.

use dormouse_kernel::Context;

use super::{User, UserEvent, UserRejection};
use crate::academy::{Name, TimeZoneName};

impl User {
    pub(super) fn register(
        &self,
        name: Name,
        time_zone: TimeZoneName,
        context: &mut Context<Self>,
    ) -> Result<(), UserRejection> {
        if self.name.is_some() {
            return Err(UserRejection::AlreadyRegistered);
        }
        let calendar = UserRejection::unless_known(&time_zone)?;
        let is_other = time_zone != self.time_zone;
        context.emit(UserEvent::UserRegistered { name: name.into(), time_zone });
        if is_other {
            self.end_streak(&calendar, context);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{At, ExpectedTimer, Given};

    use super::*;
    use crate::academy::UserCommand::{self, EndStreak};
    use crate::academy::UserReply;
    use crate::academy::stories::{name, time, zone};
    use crate::academy::user::stories::{day, learned, register, registered};

    #[test]
    fn a_user_registers_with_a_time_zone() {
        let after = Given::<User>::nothing()
            .with_id("ada")
            .when(register("Europe/Berlin"))
            .then([registered("Europe/Berlin")])
            .then_scheduled([])
            .and_replies(&UserReply { streak: 0, longest_streak: 0, last_day: None });
        assert_eq!(
            (&after.state().name, &after.state().time_zone),
            (&Some(name("Ada").into()), &zone("Europe/Berlin"))
        );
    }

    #[test]
    fn the_time_zone_is_utc_unless_the_user_says_otherwise() {
        let command = serde_json::json!({ "RegisterUser": { "name": "Ada" } });
        let command: UserCommand = serde_json::from_value(command).unwrap();
        Given::<User>::nothing().when(command).then([registered("UTC")]);
    }

    #[test]
    fn a_user_registers_once() {
        Given::<User>::events([registered("UTC")]).when(register("UTC")).then_rejected("user-already-registered");
    }

    #[test]
    fn a_time_zone_that_does_not_exist_is_refused() {
        for name in ["Europe/Atlantis", "europe/berlin"] {
            Given::<User>::nothing().when(register(name)).then_rejected("unknown-time-zone");
        }
    }

    #[test]
    fn who_has_learned_before_keeps_the_streak_and_gets_days_of_the_time_zone() {
        Given::<User>::events([learned("2026-11-20", 1)])
            .at(time("2026-11-20T12:00:00Z"))
            .when(register("Asia/Tokyo"))
            .then([registered("Asia/Tokyo")])
            .then_scheduled([ExpectedTimer::set("streak-ends", At(time("2026-11-21T15:00:00Z")), EndStreak)])
            .and_replies(&UserReply { streak: 1, longest_streak: 1, last_day: Some(day("2026-11-20")) });
        Given::<User>::events([learned("2026-11-20", 1)]).when(register("UTC")).then_scheduled([]);
    }

    #[test]
    fn a_user_is_named_by_a_user_id() {
        Given::<User>::nothing().with_id(&"a".repeat(65)).when(register("UTC")).then_rejected("invalid-user-id");
    }
}

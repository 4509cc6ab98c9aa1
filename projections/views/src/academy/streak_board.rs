//! The streaks of all users.

use std::borrow::Cow;

use dormouse_aggregates::academy::{Name, TimeZoneName, User, UserEvent};
use dormouse_kernel::{Aggregate, AggregateId, Personal};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `streak-board`: one document for each user who has registered or learned. The key is the user's id.
///
/// A streak is right without any activity of the user: a timer breaks it when a day was missed.
#[derive(Clone, Copy, Debug)]
pub struct StreakBoard;

/// The streak of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserStreak {
    /// The user.
    #[schemars(with = "String")]
    pub user: AggregateId,
    /// The name, once the user has registered.
    pub name: Option<Personal<Name>>,
    /// The time zone that decides where a day begins.
    pub time_zone: TimeZoneName,
    /// The days of the current streak. 0 if there is none.
    pub streak: u32,
    /// The days of the longest streak that the user ever had.
    pub longest_streak: u32,
    /// The last day of learning, if there is one.
    pub last_day: Option<Date>,
    /// The time of the user's last event.
    pub updated_at: Moment,
}

impl Projection for StreakBoard {
    const NAME: &'static str = "streak-board";
    type Document = UserStreak;

    fn fields() -> Fields {
        Fields::none().text("user").integer("streak").integer("longest_streak").text("last_day")
    }

    fn owner_field() -> Option<&'static str> {
        Some("user")
    }

    fn data_subject<'d>(_: &'d Key, streak: &'d UserStreak) -> Cow<'d, str> {
        format!("{}/{}", User::TYPE, streak.user).into()
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<User>()
    }
}

impl Project<User> for StreakBoard {
    fn keys(event: &Event<'_, User>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<UserStreak>, event: &Event<'_, User>, _: &Key) -> Option<UserStreak> {
        let now = Moment::from(event.recorded_at());
        let mut user = current.unwrap_or_else(|| UserStreak {
            user: event.id().clone(),
            name: None,
            time_zone: TimeZoneName::default(),
            streak: 0,
            longest_streak: 0,
            last_day: None,
            updated_at: now,
        });
        match event.body() {
            UserEvent::UserRegistered { name, time_zone } => {
                user.name = Some(name.clone());
                user.time_zone = time_zone.clone();
            }
            UserEvent::TimeZoneChanged { time_zone } => user.time_zone = time_zone.clone(),
            UserEvent::LearningDayRecorded { date, streak, run, .. } => {
                user.streak = *streak;
                user.longest_streak = user.longest_streak.max(run.days);
                user.last_day = user.last_day.max(Some(*date));
            }
            UserEvent::StreakBroken { .. } => user.streak = 0,
        }
        user.updated_at = now;
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::academy::stories::{at, broken, learned, learned_late, name, registered, zone};

    fn ada(streak: u32, longest_streak: u32, last_day: &str, second: i64) -> UserStreak {
        UserStreak {
            user: AggregateId::new("ada").unwrap(),
            name: None,
            time_zone: TimeZoneName::default(),
            streak,
            longest_streak,
            last_day: Some(last_day.parse().unwrap()),
            updated_at: at(second).into(),
        }
    }

    fn given_two_days() -> Given<StreakBoard> {
        let days = [learned("2026-11-20", 1), learned("2026-11-21", 2)];
        Given::nothing().at(at(1)).when::<User>("ada", days).then("ada", &ada(2, 2, "2026-11-21", 1))
    }

    #[test]
    fn a_user_is_on_the_board_from_the_first_event() {
        let registered_user = UserStreak {
            name: Some(name("Ada").into()),
            time_zone: zone("Europe/Berlin"),
            last_day: None,
            ..ada(0, 0, "2026-11-20", 1)
        };
        Given::<StreakBoard>::nothing()
            .at(at(1))
            .when::<User>("ada", [registered("Europe/Berlin")])
            .then("ada", &registered_user)
            .when::<User>("ada", [UserEvent::TimeZoneChanged { time_zone: zone("UTC") }])
            .then("ada", &UserStreak { time_zone: zone("UTC"), ..registered_user });
    }

    #[test]
    fn a_broken_streak_leaves_the_longest_one() {
        given_two_days()
            .at(at(2))
            .when::<User>("ada", [broken(2, "2026-11-21")])
            .then("ada", &ada(0, 2, "2026-11-21", 2))
            .at(at(3))
            .when::<User>("ada", [learned("2026-11-25", 1)])
            .then("ada", &ada(1, 2, "2026-11-25", 3));
    }

    #[test]
    fn a_late_day_counts_for_the_longest_streak_only() {
        given_two_days()
            .at(at(2))
            .when::<User>("ada", [broken(2, "2026-11-21"), learned_late("2026-11-19", 0, 3)])
            .then("ada", &ada(0, 3, "2026-11-21", 2));
    }
}

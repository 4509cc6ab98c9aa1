//! A learner, and the days of learning without a missed one: the streak.

mod change_time_zone;
mod day_run;
mod end_streak;
mod record_learning;
mod register;
mod rejection;
#[cfg(test)]
mod stories;

use dormouse_kernel::{Aggregate, AggregateId, At, Context, DomainEvent, Personal, Timestamp};
use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use self::day_run::DayRun;
pub use self::rejection::UserRejection;
use super::calendar::Calendar;
use super::{LessonId, Name, TimeZoneName, UserId, limits};

/// The timer that ends the streak.
const STREAK_ENDS: &str = "streak-ends";

/// A learner. The aggregate's id is the [`UserId`]. A learner who has not registered has UTC as time zone, and may
/// register later.
///
/// A day is a day of the user's time zone. The streak is broken when a whole day has passed without learning: a timer
/// breaks it, so that it is right without any activity, and the next learning breaks it if the timer is late.
///
/// Reports of learning may arrive late and in any order, so the user keeps the latest runs of days. A day that arrives
/// late joins its neighbours as if it had been in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// The name, once the user has registered.
    pub name: Option<Personal<Name>>,
    /// The time zone that decides where a day begins.
    pub time_zone: TimeZoneName,
    /// The days of the current streak. 0 if there is none.
    pub streak: u32,
    /// The days of the longest streak that the user ever had.
    pub longest_streak: u32,
    /// The latest runs of days of learning, in order, with at least one missed day between two of them.
    pub runs: Vec<DayRun>,
}

/// The commands of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum UserCommand {
    /// Registers the user, once.
    RegisterUser {
        /// The name.
        #[schemars(extend("x-personal" = true))]
        name: Name,
        /// The time zone. Default: UTC.
        #[serde(default)]
        time_zone: TimeZoneName,
    },
    /// Changes the time zone. Days that were recorded keep their dates.
    ChangeTimeZone {
        /// The time zone.
        time_zone: TimeZoneName,
    },
    /// Records that the user has learned. Only the first time on each day counts.
    RecordLearning {
        /// What the user has learned.
        lesson: LessonId,
        /// When. Default: now. A time in the future counts as now: the clocks of two servers may differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Breaks the streak if a day was missed. A timer sends it.
    EndStreak,
}

/// The events of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UserEvent {
    /// The user registered.
    UserRegistered {
        /// The name.
        name: Personal<Name>,
        /// The time zone.
        time_zone: TimeZoneName,
    },
    /// The user has another time zone.
    TimeZoneChanged {
        /// The time zone.
        time_zone: TimeZoneName,
    },
    /// The user learned on this day, for the first time.
    LearningDayRecorded {
        /// The day, in the user's time zone.
        date: Date,
        /// What the user learned.
        lesson: LessonId,
        /// The days of the current streak. 0 if it was over already when the day was recorded.
        streak: u32,
        /// The run of days that the day now belongs to. It is the streak, unless the day was recorded late.
        run: DayRun,
    },
    /// A day passed without learning.
    StreakBroken {
        /// The days of the streak.
        days: u32,
        /// Its last day.
        last_day: Date,
    },
}

impl DomainEvent for UserEvent {}

/// The reply to every command: the streak after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserReply {
    /// The days of the current streak. 0 if there is none.
    pub streak: u32,
    /// The days of the longest streak that the user ever had.
    pub longest_streak: u32,
    /// The last day of learning, if there is one.
    pub last_day: Option<Date>,
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["RecordLearning", "EndStreak"];
    type Command = UserCommand;
    type Event = UserEvent;
    type Reply = UserReply;
    type Rejection = UserRejection;

    fn decide(&self, command: UserCommand, context: &mut Context<Self>) -> Result<UserReply, UserRejection> {
        UserId::new(context.id().as_str()).map_err(UserRejection::InvalidUserId)?;
        match command {
            UserCommand::RegisterUser { name, time_zone } => self.register(name, time_zone, context)?,
            UserCommand::ChangeTimeZone { time_zone } => self.change_time_zone(time_zone, context)?,
            UserCommand::RecordLearning { lesson, at } => self.record_learning(lesson, at, context),
            UserCommand::EndStreak => self.end_streak(&Calendar::of(&self.time_zone), context),
        }
        Ok(context.state().reply())
    }

    fn evolve(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserRegistered { name, time_zone } => {
                self.name = Some(name.clone());
                self.time_zone = time_zone.clone();
            }
            UserEvent::TimeZoneChanged { time_zone } => self.time_zone = time_zone.clone(),
            UserEvent::LearningDayRecorded { streak, run, .. } => {
                self.streak = *streak;
                self.longest_streak = self.longest_streak.max(run.days);
                self.take(*run);
            }
            UserEvent::StreakBroken { .. } => self.streak = 0,
        }
    }

    fn owner<'a>(&'a self, id: &'a AggregateId) -> Option<&'a str> {
        Some(id.as_str())
    }

    fn state_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl User {
    /// The last day of learning, if there is one.
    #[must_use]
    pub fn last_day(&self) -> Option<Date> {
        self.runs.last().map(|run| run.last)
    }

    fn reply(&self) -> UserReply {
        UserReply { streak: self.streak, longest_streak: self.longest_streak, last_day: self.last_day() }
    }

    /// The run replaces those that it contains.
    fn take(&mut self, run: DayRun) {
        self.runs.retain(|other| other.last < run.first || run.last < other.first);
        let place = self.runs.partition_point(|other| other.last < run.first);
        self.runs.insert(place, run);
        if self.runs.len() > limits::DAY_RUNS {
            self.runs.remove(0);
        }
    }
}

/// Sets the timer that ends a streak with this last day.
fn schedule_end(last: Date, calendar: &Calendar, context: &mut Context<User>) {
    context.schedule(STREAK_ENDS, At(calendar.end_of_streak(last)), UserCommand::EndStreak);
}

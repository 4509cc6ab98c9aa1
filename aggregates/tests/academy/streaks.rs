//! Streaks against an independent calculation: it walks through time in quarters of an hour, and knows nothing of the
//! length of days.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use dormouse_aggregates::academy::{LessonId, Name, TimeZoneName, User, UserCommand, UserEvent};
use dormouse_kernel::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::World;

const QUARTER: i64 = 15 * 60;
const DAYS: i64 = 40;

/// Zones, each with a time shortly before something happens there.
const PLACES: [(&str, &str); 10] = [
    ("UTC", "2026-02-20T00:00:00Z"),
    ("Europe/Berlin", "2026-03-20T12:00:00Z"),
    ("Europe/Berlin", "2026-10-15T12:00:00Z"),
    ("America/New_York", "2026-02-27T12:00:00Z"),
    ("America/New_York", "2026-10-20T12:00:00Z"),
    ("Asia/Kolkata", "2026-12-20T12:00:00Z"),
    ("Pacific/Apia", "2011-12-20T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-03-25T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-09-25T12:00:00Z"),
    ("Asia/Beirut", "2022-03-15T12:00:00Z"),
];

/// The days of a zone from some time on, in order, each with its first quarter of an hour.
struct Days(Vec<(Date, Timestamp)>);

impl Days {
    fn of(zone: &str, from: Timestamp) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let mut days: Vec<(Date, Timestamp)> = Vec::new();
        for quarter in 0..(DAYS + 60) * 96 {
            let time = Timestamp::from_second(from.as_second() + quarter * QUARTER).unwrap();
            let date = zone.to_offset(time).to_datetime(time).date();
            if days.last().is_none_or(|(last, _)| *last != date) {
                days.push((date, time));
            }
        }
        Self(days)
    }

    /// The place of the day in which a time is.
    fn at(&self, time: Timestamp) -> usize {
        self.0.iter().rposition(|(_, start)| *start <= time).unwrap()
    }

    /// The current and the longest streak at `now`, after learning at these times.
    fn streaks(&self, learned: &[Timestamp], now: Timestamp) -> (u32, u32) {
        let learned: BTreeSet<usize> = learned.iter().map(|time| self.at(*time)).collect();
        let length = |last: usize| (0..=last).rev().take_while(|day| learned.contains(day)).count() as u32;
        let longest = learned.iter().map(|day| length(*day)).max().unwrap_or_default();
        let current = learned.last().filter(|last| self.at(now) <= **last + 1).map_or(0, |last| length(*last));
        (current, longest)
    }
}

/// The days of each place. They are the same in every test.
static DAYS_OF_PLACES: LazyLock<Vec<Days>> = LazyLock::new(|| {
    let days = |(zone, start): &(&str, &str)| {
        let start: Timestamp = start.parse().unwrap();
        // The first day that is found begins before its first quarter.
        Days::of(zone, later(start, -2 * 96 * QUARTER))
    };
    PLACES.iter().map(days).collect()
});

/// Ada, registered in one of the places.
fn given(place: usize) -> (World, &'static Days, Timestamp) {
    let (zone, start) = PLACES[place];
    let start: Timestamp = start.parse().unwrap();
    let mut world = World::at(start);
    let time_zone = TimeZoneName::new(zone).unwrap();
    let register = UserCommand::RegisterUser { name: Name::new("Ada").unwrap(), time_zone };
    world.tell::<User>("ada", &register).unwrap();
    (world, &DAYS_OF_PLACES[place], start)
}

fn learn(world: &mut World, at: Option<Timestamp>) {
    let command = UserCommand::RecordLearning { lesson: LessonId::new("l-1").unwrap(), at };
    world.tell::<User>("ada", &command).unwrap();
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second() + seconds).unwrap()
}

/// The streak that the events tell, as a view adds it up.
fn told(world: &mut World) -> (u32, u32) {
    world.events::<User>("ada").iter().fold((0, 0), |(current, longest), event| match event {
        UserEvent::LearningDayRecorded { streak, run, .. } => (*streak, longest.max(run.days)),
        UserEvent::StreakBroken { .. } => (0, longest),
        UserEvent::UserRegistered { .. } | UserEvent::TimeZoneChanged { .. } => (current, longest),
    })
}

proptest! {
    /// Learning in time: the streak is right at every moment, also while nothing happens.
    #[test]
    fn a_streak_is_right_at_every_moment(
        place in 0..PLACES.len(),
        pauses in vec((any::<bool>(), prop_oneof![3 => 0..36 * 3_600_i64, 1 => 0..80 * 3_600_i64]), 0..25),
    ) {
        let (mut world, days, mut now) = given(place);
        let end = later(now, DAYS * 24 * 3_600);
        let mut learned = Vec::new();
        for (learns, pause) in pauses {
            now = later(now, pause).min(end);
            world.pass_until(now);
            if learns {
                learn(&mut world, None);
                learned.push(now);
            }
            let user = world.state::<User>("ada");
            prop_assert_eq!((user.streak, user.longest_streak), days.streaks(&learned, now), "{:?} at {}", PLACES[place], now);
            prop_assert_eq!(told(&mut world), (user.streak, user.longest_streak));
        }
    }

    /// A streak is broken exactly when the day after its last one is over.
    #[test]
    fn a_timer_breaks_the_streak_at_the_first_moment_of_the_second_day(
        place in 0..PLACES.len(),
        pause in 0..DAYS * 24 * 3_600,
    ) {
        let (mut world, days, start) = given(place);
        let now = later(start, pause);
        world.pass_until(now);
        learn(&mut world, None);
        let over = days.0[days.at(now) + 2].1;
        world.pass_until(later(over, -1));
        prop_assert_eq!(world.state::<User>("ada").streak, 1);
        world.pass_until(over);
        prop_assert_eq!(world.state::<User>("ada").streak, 0);
    }

    /// Reports that arrive late and in any order lead to the same streaks as if they had been in time.
    #[test]
    fn the_order_of_reports_does_not_matter(
        place in 0..PLACES.len(),
        reports in vec((0..DAYS * 24 * 3_600, 0..5 * 24 * 3_600_i64), 0..40),
        rest in 0..4 * 24 * 3_600_i64,
    ) {
        let (mut world, days, start) = given(place);
        let mut reports: Vec<_> = reports.into_iter().map(|(at, delay)| (later(start, at), delay)).collect();
        reports.sort_by_key(|(at, delay)| later(*at, *delay));
        let mut learned = Vec::new();
        for (at, delay) in reports {
            let arrival = later(at, delay);
            world.pass_until(arrival);
            learn(&mut world, Some(at));
            learned.push(at);
            let user = world.state::<User>("ada");
            prop_assert_eq!((user.streak, user.longest_streak), days.streaks(&learned, arrival), "{:?} at {}", PLACES[place], arrival);
        }
        let end = later(world.now, rest);
        world.pass_until(end);
        let user = world.state::<User>("ada");
        prop_assert_eq!((user.streak, user.longest_streak), days.streaks(&learned, end));
        prop_assert_eq!(told(&mut world), (user.streak, user.longest_streak));
    }

    /// After a stop of the server, timers are late, and the reports of the meantime arrive first.
    #[test]
    fn a_timer_that_is_late_changes_nothing_in_the_end(
        place in 0..PLACES.len(),
        times in vec(0..DAYS * 24 * 3_600, 1..30),
    ) {
        let (mut world, days, start) = given(place);
        let learned: Vec<_> = times.into_iter().map(|at| later(start, at)).collect();
        for at in &learned {
            world.now = world.now.max(*at);
            learn(&mut world, Some(*at));
        }
        let now = world.now;
        world.pass_until(now);
        let user = world.state::<User>("ada");
        prop_assert_eq!((user.streak, user.longest_streak), days.streaks(&learned, now));
        prop_assert_eq!(told(&mut world), (user.streak, user.longest_streak));
    }
}

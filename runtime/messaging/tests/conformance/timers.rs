//! Timers: one of each aggregate and name, in the order of their due times.

use std::time::Duration;

use dormouse_kernel::{CatchUp, Cron, Every, Position, Schedule, Timestamp, Version};
use dormouse_messaging::store::{Changes, TimerPlace, TimerRow};

use crate::support::{Place, aggregate, at, consumer, mailer, order, set, timer, timer_name};

on_every_store! {
    a_timer_is_read_as_it_was_written,
    timers_come_in_order_and_in_pages,
    timers_that_are_due_at_once_come_by_aggregate_and_name,
    a_timer_that_is_set_again_is_replaced,
    a_timer_is_removed_whenever_it_was_set,
    of_several_settings_of_one_timer_the_last_counts,
    timers_are_independent_of_the_consumer,
}

async fn a_timer_is_read_as_it_was_written(place: Place) {
    let store = place.owned().await;
    let now = at(0);
    let cron = Cron::new("0 6 * * 1").unwrap().in_time_zone("Europe/Berlin").unwrap();
    let schedules = [
        Schedule::Once { due: Timestamp::from_second(Timestamp::MAX.as_second()).unwrap() },
        Schedule::new(Every::new(Duration::from_secs(60)).catch_up(CatchUp::All).into(), now).unwrap(),
        Schedule::new(cron.into(), now).unwrap(),
    ];
    let timers = schedules.map(|schedule| {
        let due = Timestamp::from_microsecond(schedule.first().as_microsecond()).unwrap();
        let name = timer_name(&format!("due-{due}"));
        TimerRow {
            place: TimerPlace { due, aggregate: aggregate("stock-item", "ünï cødé"), name },
            position: Position(i64::MAX.cast_unsigned()),
            set_at: Version(u64::from(u32::MAX) + 1),
            schedule,
            payload: vec![0, 255, 7],
        }
    });
    store.commit(&consumer("timers"), &set(timers.clone())).await.unwrap();
    let mut expected = timers.to_vec();
    expected.sort_by_key(|timer| timer.place.clone());
    assert_eq!(store.timers(Timestamp::MAX, None, 9).await.unwrap(), expected);
    assert_eq!(store.timer_count().await.unwrap(), 3);
}

async fn timers_come_in_order_and_in_pages(place: Place) {
    let store = place.owned().await;
    // More than a statement takes, and not in order.
    let timers = (0..300).map(|number| timer(number * 7 % 300, &format!("o-{number}"), "due"));
    store.commit(&consumer("timers"), &set(timers)).await.unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.timers(at(249), after.as_ref(), 100).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.place.clone());
        seen.extend(page.into_iter().map(|timer| timer.place.due));
    }
    assert_eq!(seen, (0..250).map(at).collect::<Vec<_>>());
    assert_eq!(store.timers(at(249), None, 0).await.unwrap(), []);
    assert_eq!(store.timers(at(-1), None, 9).await.unwrap(), []);
    assert_eq!(store.timer_count().await.unwrap(), 300);
}

async fn timers_that_are_due_at_once_come_by_aggregate_and_name(place: Place) {
    let store = place.owned().await;
    let of = |aggregate_type: &str, id: &str, name: &str| {
        let mut timer = timer(5, "a", name);
        timer.place.aggregate = aggregate(aggregate_type, id);
        timer
    };
    // Bytes count, not letters: upper case is before lower case, and "ä" is behind both.
    let timers = [
        of("account", "z", "z"),
        of("order", "B", "due"),
        of("order", "a", "A"),
        of("order", "a", "a"),
        of("order", "a", "a-"),
        of("order", "ä", "due"),
        of("stock", "a", "due"),
    ];
    store.commit(&consumer("timers"), &set(timers.iter().rev().cloned())).await.unwrap();
    assert_eq!(store.timers(at(5), None, 99).await.unwrap(), timers);
    for (number, timer) in timers.iter().enumerate() {
        let rest = store.timers(at(5), Some(&timer.place), 99).await.unwrap();
        assert_eq!(rest, timers[number + 1..]);
    }
}

async fn a_timer_that_is_set_again_is_replaced(place: Place) {
    let store = place.owned().await;
    let timers = [timer(5, "a", "due"), timer(6, "a", "other"), timer(7, "b", "due")];
    store.commit(&consumer("timers"), &set(timers.clone())).await.unwrap();
    let later = TimerRow {
        position: Position(8),
        set_at: Version(3),
        payload: b"remind".to_vec(),
        schedule: Schedule::Once { due: at(20) },
        ..timer(10, "a", "due")
    };
    store.commit(&consumer("timers"), &set([later.clone()])).await.unwrap();
    let expected = [timers[1].clone(), timers[2].clone(), later];
    assert_eq!(store.timers(at(99), None, 9).await.unwrap(), expected);
    assert_eq!(store.timer_count().await.unwrap(), 3);
}

async fn a_timer_is_removed_whenever_it_was_set(place: Place) {
    let store = place.owned().await;
    store.commit(&consumer("timers"), &set([timer(5, "a", "due"), timer(6, "a", "other")])).await.unwrap();
    let remove = [("a", "due"), ("b", "due"), ("c", "due")].map(|(id, name)| (order(id), timer_name(name)));
    let changes = Changes {
        set_timers: vec![timer(7, "b", "due"), timer(8, "b", "other")],
        remove_timers: remove.to_vec(),
        ..Changes::default()
    };
    store.commit(&consumer("timers"), &changes).await.unwrap();
    let expected = [timer(6, "a", "other"), timer(8, "b", "other")];
    assert_eq!(store.timers(at(99), None, 9).await.unwrap(), expected);
}

async fn of_several_settings_of_one_timer_the_last_counts(place: Place) {
    let store = place.owned().await;
    store.commit(&consumer("timers"), &set([timer(5, "a", "due"), timer(3, "a", "due")])).await.unwrap();
    assert_eq!(store.timers(at(99), None, 9).await.unwrap(), [timer(3, "a", "due")]);
}

async fn timers_are_independent_of_the_consumer(place: Place) {
    let store = place.owned().await;
    store.commit(&consumer("timers"), &set([timer(5, "a", "due")])).await.unwrap();
    store.commit(&mailer(), &set([timer(6, "a", "due")])).await.unwrap();
    assert_eq!(store.timers(at(99), None, 9).await.unwrap(), [timer(6, "a", "due")]);
}

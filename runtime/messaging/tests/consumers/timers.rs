//! Timers fire once, late if need be, and not at all if they were replaced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::{
    CatchUp, Every, ManualClock, Schedule, TimerChange, TimerName, Timestamp, Timing, Version, encode,
};
use dormouse_messaging::Delivered;

use crate::world::{NoteCommand, World, eventually, options, write};

fn name(name: &str) -> TimerName {
    TimerName::new(name).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn set(timer: &str, due: Timestamp, command: &NoteCommand) -> TimerChange {
    TimerChange::Set { name: name(timer), schedule: Schedule::Once { due }, command: encode(command).unwrap() }
}

async fn world(now: i64) -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(at(now)));
    let world = World::with_clock(options(), clock.clone(), |builder| builder).await;
    (world, clock)
}

async fn read(world: &World) {
    eventually(async || world.info("timers").await.lag == 0).await;
}

#[tokio::test]
async fn a_timer_fires_once_when_it_is_due_and_says_which_one_it_is() {
    let (world, clock) = world(1_000).await;
    world.schedule("a", vec![set("t", at(1_010), &write("due")), set("u", at(900), &write("past"))]).await;
    eventually(async || world.bus.effects("a") == [write("past")]).await;
    clock.set(at(1_009));
    read(&world).await;
    assert_eq!(world.bus.effect_count(), 1);
    clock.set(at(1_010));
    eventually(async || world.bus.effect_count() == 2).await;
    let fired = world.bus.deliveries().into_iter().find_map(|delivery| delivery.timer).unwrap();
    assert_eq!((fired.name, fired.set_at, fired.is_last), (name("u"), Version(1), true));
    eventually(async || world.messaging.timer_count().await.unwrap() == 0).await;
    let world = world.restarted(|builder| builder).await;
    read(&world).await;
    assert_eq!(world.bus.deliveries().len(), 2);
}

#[tokio::test]
async fn a_timer_that_is_set_again_replaces_the_former_and_a_cancelled_one_is_gone() {
    let (world, clock) = world(0).await;
    world.schedule("a", vec![set("t", at(10), &write("first")), set("c", at(10), &write("cancelled"))]).await;
    world.schedule("a", vec![set("t", at(20), &write("second"))]).await;
    world.schedule("a", vec![TimerChange::Cancelled { name: name("c") }]).await;
    read(&world).await;
    eventually(async || world.messaging.timer_count().await.unwrap() == 1).await;
    clock.set(at(15));
    // Another timer shows that this time has come.
    world.schedule("b", vec![set("t", at(15), &write("other"))]).await;
    eventually(async || world.bus.effects("b").len() == 1).await;
    assert_eq!(world.bus.effects("a"), []);
    clock.set(at(20));
    eventually(async || world.bus.effects("a") == [write("second")]).await;
}

#[tokio::test]
async fn timers_that_were_due_while_no_server_ran_fire_late_and_recurring_ones_as_they_say() {
    let (world, clock) = world(0).await;
    let every = |timer: &str, catch_up| TimerChange::Set {
        name: name(timer),
        schedule: Schedule::new(Timing::Every(Every::new(Duration::from_secs(10)).catch_up(catch_up)), at(0)).unwrap(),
        command: encode(&write(timer)).unwrap(),
    };
    world.schedule("once", vec![set("t", at(5), &write("late"))]).await;
    for (note, catch_up) in [("one", CatchUp::One), ("all", CatchUp::All), ("none", CatchUp::None)] {
        world.schedule(note, vec![every("t", catch_up)]).await;
    }
    read(&world).await;
    world.messaging.stop(tokio::time::Instant::now()).await;
    // Due at 10, 20 and 30 while no server ran.
    clock.set(at(35));
    let world = world.started_again(|builder| builder).await;
    let counts = || ["once", "one", "all", "none"].map(|note| world.bus.effects(note).len());
    eventually(async || counts() == [1, 1, 3, 0]).await;
    clock.set(at(40));
    eventually(async || counts() == [1, 2, 4, 1]).await;
    clock.set(at(50));
    eventually(async || counts() == [1, 3, 5, 2]).await;
    assert!(world.bus.deliveries().iter().filter_map(|delivery| delivery.timer.as_ref()).any(|timer| !timer.is_last));
}

#[tokio::test]
async fn a_timer_whose_command_fails_is_attempted_again_and_becomes_a_dead_letter() {
    let (world, clock) = world(0).await;
    world.bus.answer("a", Some(Delivered::Failed("broken".to_owned())));
    world.schedule("a", vec![set("t", at(0), &write("x")), set("u", at(0), &write("y"))]).await;
    let tick = async || clock.advance(Duration::from_millis(50));
    eventually(async || {
        tick().await;
        world.info("timers").await.jobs.dead == 2
    })
    .await;
    let dead = world.dead("timers").await;
    assert!(dead.iter().all(|row| row.attempts.len() == 3 && row.attempts[0].error == "broken"));
    assert_ne!(dead[0].id, dead[1].id);
    world.bus.answer("a", None);
    let world = world.restarted(|builder| builder).await;
    assert_eq!(world.messaging.retry_dead("timers", 10).await.unwrap(), 2);
    eventually(async || world.bus.effects("a").len() == 2).await;
    eventually(async || world.info("timers").await.jobs == Default::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_timers_fires_once_however_the_clock_is_set() {
    const TIMERS: usize = 20_000;
    let (world, clock) = world(100_000).await;
    for chunk in 0..TIMERS / 200 {
        let timers = (0..200).map(|number| {
            let number = chunk * 200 + number;
            set(&format!("t-{number}"), at(100_000 + (number % 10) as i64), &write(&number.to_string()))
        });
        world.schedule(&format!("n-{chunk}"), timers.collect()).await;
    }
    let hour = 3600;
    for now in [100_002, 100_002 - hour, 100_004, 100_004 + hour, 100_006 - hour, 100_009 + hour] {
        clock.set(at(now));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    eventually(async || world.bus.effect_count() == TIMERS).await;
    eventually(async || world.messaging.timer_count().await.unwrap() == 0).await;
    let mut fired: HashMap<_, usize> = HashMap::new();
    world.bus.deliveries().into_iter().for_each(|delivery| *fired.entry(delivery.key).or_default() += 1);
    assert_eq!(fired.len(), TIMERS);
}

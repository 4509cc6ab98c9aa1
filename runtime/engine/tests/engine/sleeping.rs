//! Falling asleep and waking up.

use std::time::Duration;

use bytesize::ByteSize;
use dormouse_engine::QueryError;
use dormouse_faults::Read;
use dormouse_kernel::Version;

use crate::counter::Command;
use crate::world::{World, config, eventually, every, forgetful, sent, sleepy, soon};

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_was_unused_for_long_falls_asleep() {
    let mut config = config();
    config.passivation.idle_after = Duration::from_secs(60);
    let world = World::new(config).await;
    world.add("a", 1).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    world.add("b", 1).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!((world.live(), world.engine.dormant().0), (1, 1), "only one was idle for a minute");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!((world.live(), world.engine.dormant().0), (0, 2));
    assert_eq!(world.state("a").await, (1, 1));
    assert_eq!((world.live(), world.engine.dormant().0), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_the_least_recently_used_falls_asleep() {
    let mut config = config();
    config.passivation.max_live = 4.try_into().unwrap();
    config.passivation.dormant_budget = ByteSize::b(0);
    let world = World::new(config).await;
    for name in ["a", "b", "c", "d", "a", "e"] {
        world.add(name, 1).await;
        tokio::time::advance(Duration::from_millis(5)).await;
    }
    eventually("there is room again", || world.live() == 4).await;
    world.store.forget_reads();
    for name in ["a", "c", "d", "e"] {
        world.add(name, 1).await;
    }
    assert_eq!(world.store.reads(), [], "these were awake");
    world.add("b", 1).await;
    assert_eq!(world.store.reads(), [Read { id: "b".to_owned(), after: Version::ZERO }]);
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_without_events_does_not_stay_live() {
    let world = World::new(config()).await;
    assert_eq!(world.read("nothing").await.unwrap_err(), QueryError::NotFound);
    world.execute("nothing", Command::Refuse).await.unwrap_err();
    world.add("something", 1).await;
    // The next sweep unloads it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((world.live(), world.engine.dormant().0), (1, 0));
}

#[tokio::test]
async fn an_aggregate_in_use_does_not_fall_asleep() {
    let world = World::new(sleepy()).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 1 }));
    sent(&mut adding).await;
    soon(world.store.commit_arrives()).await;
    world.read("b").await.unwrap_err();
    // Once an unused aggregate sleeps, the sweep has run.
    eventually("the other sleeps", || world.live() == 1).await;
    assert_eq!(world.engine.dormant().0, 0);
    drop(held);
    soon(adding).await.unwrap();
    world.all_asleep().await;
    assert_eq!(world.engine.dormant().0, 1);
}

#[tokio::test]
async fn dormant_bytes_are_enough_to_wake_up() {
    let world = World::new(sleepy()).await;
    world.add("a", 1).await;
    for number in 1..50 {
        world.all_asleep().await;
        world.store.forget_reads();
        assert_eq!(world.add("a", 1).await.reply, number + 1);
        assert_eq!(world.store.reads(), []);
    }
}

#[tokio::test]
async fn a_snapshot_and_what_came_after_are_enough_to_wake_up() {
    let world = World::new(every(10, config())).await;
    for _ in 0..11 {
        world.add("a", 1).await;
    }
    let world = world.restart(config()).await;
    world.store.forget_reads();
    assert_eq!(world.add("a", 1).await.reply, 12);
    assert_eq!(world.store.reads(), [Read { id: "a".to_owned(), after: Version(9) }]);
}

#[tokio::test]
async fn all_events_are_enough_to_wake_up_however_many() {
    let world = World::new(forgetful()).await;
    // More than one page of events, and exactly two.
    for (name, events) in [("a", 1030), ("b", 1024)] {
        world.execute(name, Command::AddAll { by: vec![1; events / 2] }).await.unwrap();
        world.execute(name, Command::AddAll { by: vec![1; events / 2] }).await.unwrap();
        world.all_asleep().await;
        world.store.forget_reads();
        assert_eq!(world.add(name, 1).await.reply, events as i64 + 1);
        assert_eq!(world.store.reads()[0].after, Version::ZERO);
        assert_eq!(world.store.reads().len(), 3);
    }
}

#[tokio::test]
async fn dormant_aggregates_keep_to_their_budget() {
    let mut config = sleepy();
    config.passivation.dormant_budget = ByteSize::kib(64);
    let world = World::new(config).await;
    for number in 0..500 {
        world.add(&format!("a-{number}"), 1).await;
    }
    world.all_asleep().await;
    let (count, bytes) = world.engine.dormant();
    assert!(bytes <= 64 << 10, "{bytes} bytes");
    assert!(count > 100, "only {count} fit");
    for number in 0..500 {
        assert_eq!(world.add(&format!("a-{number}"), 1).await.reply, 2);
    }
}

#[tokio::test]
async fn a_request_to_an_aggregate_that_falls_asleep_wakes_it_again() {
    let mut config = every(1, sleepy());
    config.passivation.max_live = 1.try_into().unwrap();
    let world = World::new(config).await;
    for number in 0..500 {
        assert_eq!(soon(world.add("a", 1)).await.reply, number + 1);
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(world.store.violations().is_empty());
}

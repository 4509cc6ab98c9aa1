//! Drains, and the state that the next engine finds.

use std::time::Duration;

use dormouse_engine::{CommandError, Lifecycle, QueryError};
use dormouse_faults::Fault;

use crate::counter::Command;
use crate::world::{World, config, every, keyed, sent, soon};

#[tokio::test]
async fn requests_before_a_drain_are_answered_and_later_ones_are_refused() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 1 }));
    sent(&mut adding).await;
    let mut draining = Box::pin(world.drain());
    sent(&mut draining).await;
    assert_eq!(*world.engine.lifecycle().borrow(), Lifecycle::Draining);
    let refused = world.execute("a", Command::Add { by: 1 }).await.unwrap_err();
    assert!(matches!(refused, CommandError::Draining), "{refused:?}");
    assert_eq!(world.read("a").await.unwrap_err(), QueryError::Draining);
    drop(held);
    let (adding, report) = soon(async { tokio::join!(adding, draining) }).await;
    assert_eq!(adding.unwrap().reply, 1);
    assert!(report.complete);
    assert_eq!(report.still_live, 0);
    assert_eq!(*world.engine.lifecycle().borrow(), Lifecycle::Stopped);
    assert_eq!(world.read("a").await.unwrap_err(), QueryError::Draining);
}

#[tokio::test]
async fn a_drain_takes_every_snapshot_that_is_due() {
    let world = World::new(every(1, config())).await;
    let snapshots_before = async {
        for number in 0..1000 {
            world.execute(&format!("a-{number}"), Command::AddAll { by: vec![1] }).await.unwrap();
        }
    };
    snapshots_before.await;
    let world = world.restart(every(5, config())).await;
    // Each has one event more than its snapshot, which is enough when it falls asleep.
    for number in 0..1000 {
        world.add(&format!("a-{number}"), 1).await;
    }
    assert!(world.drain().await.complete);
    for number in 0..1000 {
        assert_eq!(world.store.snapshots(&format!("a-{number}")).last(), Some(&2), "{number}");
    }
}

#[tokio::test]
async fn a_second_engine_finds_what_the_first_left() {
    let mut world = World::new(every(3, config())).await;
    for pass in 1..=5 {
        for name in ["a", "b", "c"] {
            world.send(name, Command::AddAll { by: vec![pass; 2] }, keyed(&format!("r-{pass}"))).await.unwrap();
        }
        world = world.restart(every(3, config())).await;
        for name in ["a", "b", "c"] {
            assert_eq!(world.state(name).await, (pass * (pass + 1), 2 * pass as u64));
            let again = world.send(name, Command::AddAll { by: vec![1; 2] }, keyed("r-1")).await.unwrap();
            assert!(again.repeated);
        }
    }
}

#[tokio::test]
async fn an_aggregate_that_failed_does_not_delay_the_drain() {
    let mut config = config();
    config.supervision.restarts = 1;
    config.supervision.backoff_min = Duration::from_secs(10);
    let world = World::new(config).await;
    for (name, panics) in [("restarting", 1), ("quarantined", 2)] {
        for _ in 0..panics {
            world.execute(name, Command::Panic).await.unwrap_err();
        }
    }
    let report = soon(world.drain()).await;
    assert!(report.complete, "{report:?}");
}

#[tokio::test]
async fn a_journal_that_never_answers_does_not_delay_the_drain_for_ever() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 1 }));
    sent(&mut adding).await;
    soon(world.store.commit_arrives()).await;
    let report = soon(world.engine.drain(Duration::from_millis(10))).await;
    assert!(!report.complete);
    drop(held);
    drop(adding);
}

#[tokio::test]
async fn a_store_that_is_gone_does_not_delay_the_drain_for_ever() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let held = world.store.hold_commits();
    world.store.script([Fault::Lost { committed: false }]);
    let adding = world.go("a", Command::Add { by: 1 }, keyed("k"));
    soon(world.store.commit_arrives()).await;
    drop(held);
    world.store.go_down();
    let report = soon(world.engine.drain(Duration::from_millis(10))).await;
    assert!(!report.complete);
    adding.abort();
}

#[tokio::test]
async fn draining_twice_is_draining_once() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let (first, second) = soon(async { tokio::join!(world.drain(), world.drain()) }).await;
    assert!(first.complete && second.complete);
    assert!(soon(world.drain()).await.complete);
}

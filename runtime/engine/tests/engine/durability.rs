//! No answer leaves before everything that it rests on is durable, and every answer contains what was answered before.

use dormouse_engine::{CommandError, QueryError};
use dormouse_faults::Fault;
use dormouse_kernel::Version;

use crate::counter::{Command, Refused};
use crate::world::{World, config, eventually, id, sent, soon, still_waits};

#[tokio::test]
async fn a_read_waits_until_the_state_it_shows_is_durable() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 2 }));
    sent(&mut adding).await;
    let of = id("a");
    let mut reading = Box::pin(world.counters.state(&of));
    still_waits(&mut reading).await;
    drop(held);
    let read = soon(reading).await.unwrap();
    assert_eq!((read.state.total, read.version), (3, Version(2)));
    assert_eq!(soon(adding).await.unwrap().version, Version(2));
}

#[tokio::test]
async fn a_read_of_a_durable_state_does_not_wait_for_other_commits() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let _held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("b", Command::Add { by: 2 }));
    sent(&mut adding).await;
    assert_eq!(soon(world.state("a")).await, (1, 1));
}

#[tokio::test]
async fn a_rejection_waits_until_the_state_it_is_based_on_is_durable() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut opening = Box::pin(world.execute("a", Command::Open));
    sent(&mut opening).await;
    let mut refused = Box::pin(world.execute("a", Command::Open));
    let mut looking = Box::pin(world.execute("a", Command::Look));
    still_waits(&mut refused).await;
    still_waits(&mut looking).await;
    drop(held);
    soon(opening).await.unwrap();
    let refused = soon(refused).await.unwrap_err();
    assert!(matches!(refused, CommandError::Rejected(Refused { total: 1 })), "{refused:?}");
    assert_eq!(soon(looking).await.unwrap().reply, 1);
}

#[tokio::test]
async fn the_position_of_an_answer_without_events_covers_the_state_it_is_based_on() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 1 }));
    sent(&mut adding).await;
    let mut looking = Box::pin(world.execute("a", Command::Look));
    still_waits(&mut looking).await;
    drop(held);
    let (added, looked) = (soon(adding).await.unwrap(), soon(looking).await.unwrap());
    assert_eq!(looked.reply, 1);
    assert!(looked.position >= added.position, "{:?} does not cover {:?}", looked.position, added.position);
}

#[tokio::test]
async fn a_state_that_did_not_become_durable_is_neither_shown_nor_a_reason_to_reject() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    world.store.script([Fault::Refused]);
    let mut opening = Box::pin(world.execute("a", Command::Open));
    sent(&mut opening).await;
    let of = id("a");
    let mut reading = Box::pin(world.counters.state(&of));
    let mut refused = Box::pin(world.execute("a", Command::Open));
    still_waits(&mut reading).await;
    still_waits(&mut refused).await;
    drop(held);
    let failed = soon(opening).await.unwrap_err();
    assert!(matches!(failed, CommandError::Unavailable(_)), "{failed:?}");
    let refused = soon(refused).await.unwrap_err();
    assert!(matches!(refused, CommandError::Undone), "{refused:?}");
    let read = soon(reading).await.unwrap_err();
    assert!(matches!(read, QueryError::Unavailable(_)), "{read:?}");
}

#[tokio::test]
async fn a_read_after_a_failure_waits_for_the_appends_of_the_failed_activation() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 2 }));
    sent(&mut adding).await;
    soon(world.store.commit_arrives()).await;
    let panicked = soon(world.execute("a", Command::Panic)).await.unwrap_err();
    assert!(matches!(panicked, CommandError::Panicked), "{panicked:?}");
    let of = id("a");
    let mut reading = Box::pin(world.counters.state(&of));
    still_waits(&mut reading).await;
    drop(held);
    assert_eq!(soon(reading).await.unwrap().state.total, 2);
    assert_eq!(soon(adding).await.unwrap().version, Version(1));
}

#[tokio::test]
async fn a_read_after_a_release_waits_for_the_appends_of_the_failed_activation() {
    let mut config = config();
    config.supervision.restarts = 0;
    let world = World::new(config).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.execute("a", Command::Add { by: 2 }));
    sent(&mut adding).await;
    soon(world.store.commit_arrives()).await;
    soon(world.execute("a", Command::Panic)).await.unwrap_err();
    eventually("it is quarantined", || world.engine.release("counter", &id("a"))).await;
    let of = id("a");
    let mut reading = Box::pin(world.counters.state(&of));
    still_waits(&mut reading).await;
    drop(held);
    assert_eq!(soon(reading).await.unwrap().state.total, 2);
    assert_eq!(soon(adding).await.unwrap().version, Version(1));
}

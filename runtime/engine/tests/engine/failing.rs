//! Domain code that panics, and events that cannot be read.

use std::time::Duration;

use dormouse_engine::{CommandError, QueryError};

use crate::counter::Command;
use crate::world::{World, config, eventually, id, sent, soon};

fn quarantined(world: &World) -> Vec<String> {
    let residency = world.engine.residency();
    residency[0].quarantined.iter().map(|(id, _)| id.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_panic_answers_its_caller_and_affects_no_other_command() {
    for misbehaviour in [Command::Panic, Command::Poison] {
        let world = World::new(config()).await;
        world.add("a", 1).await;
        world.add("b", 1).await;
        let held = world.store.hold_reads();
        let mut waiting = Box::pin(world.execute("c", misbehaviour.clone()));
        let mut behind = Box::pin(world.execute("c", Command::Add { by: 5 }));
        sent(&mut waiting).await;
        sent(&mut behind).await;
        drop(held);
        let panicked = soon(waiting).await.unwrap_err();
        assert!(matches!(panicked, CommandError::Panicked), "{panicked:?}");
        assert_eq!(soon(behind).await.unwrap().reply, 5, "commands behind it are decided by the next activation");
        assert_eq!(world.add("a", 1).await.reply, 2);
        assert_eq!(world.add("b", 1).await.reply, 2);
        assert_eq!(world.state("c").await, (5, 1));
    }
}

#[tokio::test]
async fn commands_decided_before_a_panic_are_still_committed_and_answered() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut adding = Box::pin(world.add_as("k", "a", 3));
    sent(&mut adding).await;
    soon(world.store.commit_arrives()).await;
    soon(world.execute("a", Command::Panic)).await.unwrap_err();
    let mut again = Box::pin(world.add_as("k", "a", 3));
    sent(&mut again).await;
    drop(held);
    assert_eq!(soon(adding).await.unwrap().reply, 3);
    assert!(soon(again).await.unwrap().repeated);
    assert_eq!(world.state("a").await, (3, 1));
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_keeps_panicking_is_restarted_with_growing_pauses_and_then_quarantined() {
    let mut config = config();
    config.supervision.restarts = 2;
    config.supervision.backoff_min = Duration::from_secs(10);
    let world = World::new(config).await;
    world.add("a", 1).await;
    let panics = async || {
        let panicked = world.execute("a", Command::Panic).await.unwrap_err();
        assert!(matches!(panicked, CommandError::Panicked), "{panicked:?}");
    };
    panics().await;
    assert_eq!(world.state("a").await, (1, 1), "the first restart is immediate");
    panics().await;
    let restarting = world.execute("a", Command::Look).await.unwrap_err();
    assert!(
        matches!(restarting, CommandError::Restarting { retry_after } if retry_after <= Duration::from_secs(10)),
        "{restarting:?}"
    );
    assert!(matches!(world.read("a").await.unwrap_err(), QueryError::Restarting { .. }));
    assert_eq!(world.add("b", 1).await.reply, 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.state("a").await, (1, 1));
    panics().await;
    let reason = world.execute("a", Command::Look).await.unwrap_err();
    assert!(matches!(reason, CommandError::Quarantined { .. }), "{reason:?}");
    assert!(matches!(world.read("a").await.unwrap_err(), QueryError::Quarantined { .. }));
    assert_eq!(quarantined(&world), ["a"]);
    assert!(world.engine.release("counter", &id("a")));
    assert!(!world.engine.release("counter", &id("a")), "it is released already");
    assert!(!world.engine.release("counter", &id("b")));
    assert!(!world.engine.release("no-such-type", &id("a")));
    assert_eq!(world.state("a").await, (1, 1));
    panics().await;
    assert_eq!(world.state("a").await, (1, 1), "it starts with a clean record");
    assert!(world.drain().await.complete);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_quarantines_its_aggregate_only() {
    let world = World::new(config()).await;
    world.smuggle("a", "Unheard").await;
    world.add("b", 1).await;
    let refused = soon(world.execute("a", Command::Look)).await.unwrap_err();
    assert!(matches!(&refused, CommandError::Quarantined { reason } if reason.contains("Unheard")), "{refused:?}");
    eventually("it is listed", || quarantined(&world) == ["a"]).await;
    assert_eq!(world.add("b", 1).await.reply, 2);
    assert!(world.engine.release("counter", &id("a")));
    assert!(matches!(soon(world.read("a")).await.unwrap_err(), QueryError::Unreadable(_)));
    eventually("it is listed again", || quarantined(&world) == ["a"]).await;
    assert!(world.drain().await.complete);
}

#[tokio::test]
async fn an_event_that_makes_the_state_panic_ends_in_quarantine() {
    let mut config = config();
    config.supervision.restarts = 2;
    config.supervision.backoff_min = Duration::from_millis(1);
    let world = World::new(config).await;
    world.smuggle("a", "Poisoned").await;
    let refused = loop {
        match soon(world.execute("a", Command::Look)).await.unwrap_err() {
            CommandError::Restarting { .. } | CommandError::OutcomeUnknown => {}
            refused => break refused,
        }
    };
    assert!(matches!(refused, CommandError::Quarantined { .. }), "{refused:?}");
    assert!(world.drain().await.complete);
}

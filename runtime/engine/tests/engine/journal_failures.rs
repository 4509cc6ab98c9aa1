//! A journal that does not answer, answers too late, or is taken away.

use dormouse_engine::{CommandError, Lifecycle};
use dormouse_faults::Fault;
use dormouse_kernel::Version;

use crate::counter::Command;
use crate::world::{Answer, World, config, eventually, key, sent, soon};

/// Retries a command as a client would.
async fn persistently(world: &World, name: &str, to: &str) -> dormouse_engine::Outcome<i64> {
    let outcome = async {
        loop {
            match world.add_as(name, to, 1).await {
                Ok(outcome) => break outcome,
                Err(CommandError::Unavailable(_) | CommandError::Undone | CommandError::KeyInFlight) => {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    soon(outcome).await
}

#[tokio::test]
async fn a_journal_that_comes_back_needs_no_restart() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    world.store.go_down();
    for name in ["a", "b"] {
        let refused = soon(world.execute(name, Command::Add { by: 100 })).await.unwrap_err();
        assert!(matches!(refused, CommandError::Unavailable(_)), "{refused:?}");
    }
    let refused = soon(world.execute("a", Command::Add { by: 100 })).await.unwrap_err();
    assert!(matches!(refused, CommandError::Unavailable(_)), "{refused:?}");
    world.store.come_back();
    assert_eq!(persistently(&world, "k", "a").await.reply, 2);
    assert_eq!(persistently(&world, "k", "b").await.reply, 1);
    assert_eq!((world.state("a").await, world.state("b").await), ((2, 2), (1, 1)));
    assert_eq!(*world.engine.lifecycle().borrow(), Lifecycle::Running);
}

#[tokio::test]
async fn a_command_whose_commit_result_was_lost_gets_its_answer() {
    for committed in [true, false] {
        let world = World::new(config()).await;
        world.store.script([Fault::Lost { committed }]);
        assert_eq!(soon(world.add("a", 1)).await.version, Version(1));
        assert_eq!(soon(world.add("a", 1)).await.version, Version(2));
        assert_eq!(world.stored("a").await, 2);
    }
}

#[tokio::test]
async fn decisions_after_a_failed_append_are_undone() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let held = world.store.hold_commits();
    world.store.script([Fault::Refused]);
    let mut first = Box::pin(world.add_as("first", "a", 10));
    sent(&mut first).await;
    soon(world.store.commit_arrives()).await;
    let mut behind: Vec<_> = (0..5)
        .map(|number| {
            let world = &world;
            Box::pin(async move { world.add_as(&format!("behind-{number}"), "a", 100).await })
        })
        .collect();
    for waiting in &mut behind {
        sent(waiting).await;
    }
    let undone = |answer: Answer| {
        let error = answer.unwrap_err();
        assert!(matches!(error, CommandError::Unavailable(_) | CommandError::Undone), "{error:?}");
    };
    // Once the aggregate refuses one of their keys, they are in the writer's queue.
    let in_flight = soon(world.add_as("behind-4", "a", 100)).await.unwrap_err();
    assert!(matches!(in_flight, CommandError::KeyInFlight), "{in_flight:?}");
    drop(held);
    undone(soon(first).await);
    for waiting in behind {
        undone(soon(waiting).await);
    }
    let outcome = persistently(&world, "behind-4", "a").await;
    assert_eq!((outcome.reply, outcome.version, outcome.repeated), (2, Version(2), false));
    assert_eq!(world.state("a").await, (2, 2));
}

#[tokio::test]
async fn a_failed_append_undoes_nothing_of_other_aggregates() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    world.add("b", 1).await;
    world.store.script([Fault::Refused]);
    soon(world.execute("a", Command::Add { by: 1 })).await.unwrap_err();
    world.store.forget_reads();
    persistently(&world, "k", "a").await;
    persistently(&world, "k", "b").await;
    assert!(world.store.reads().iter().all(|read| read.id == "a"), "only one had to be loaded again");
}

#[tokio::test]
async fn an_engine_whose_journal_was_taken_over_gives_up() {
    let mut config = config();
    config.supervision.restarts = 0;
    let world = World::new(config).await;
    world.add("a", 1).await;
    world.add("b", 1).await;
    world.store.inner().acquire(None).await.unwrap();
    let refused = soon(world.execute("a", Command::Add { by: 1 })).await.unwrap_err();
    assert!(matches!(refused, CommandError::Fenced), "{refused:?}");
    let mut lifecycle = world.engine.lifecycle();
    soon(lifecycle.wait_for(|lifecycle| matches!(lifecycle, Lifecycle::Failed(_)))).await.unwrap();
    let refused = soon(world.execute("b", Command::Add { by: 1 })).await.unwrap_err();
    assert!(matches!(refused, CommandError::Draining), "{refused:?}");
    eventually("its actors have ended", || world.live() == 0).await;
    assert!(world.engine.residency()[0].quarantined.is_empty(), "no aggregate is to blame");
    soon(world.drain()).await;
    assert!(matches!(*world.engine.lifecycle().borrow(), Lifecycle::Failed(_)));
    assert_eq!(world.stored("a").await, 1);
}

#[tokio::test]
async fn an_engine_whose_writer_dies_gives_up_and_open_outcomes_are_unknown() {
    let world = World::new(config()).await;
    world.store.script([Fault::Panic]);
    let unknown = soon(world.add_as("k", "a", 1)).await.unwrap_err();
    assert!(matches!(unknown, CommandError::OutcomeUnknown), "{unknown:?}");
    let mut lifecycle = world.engine.lifecycle();
    soon(lifecycle.wait_for(|lifecycle| matches!(lifecycle, Lifecycle::Failed(_)))).await.unwrap();
    assert!(world.counters.outcome(&crate::world::id("a"), &key("k")).await.is_err());
    soon(world.drain()).await;
}

//! Permits: a request for which there is no permit is refused at once.

use dormouse_engine::{CommandError, QueryError};
use dormouse_journal::PageLimit;

use crate::counter::Command;
use crate::world::{World, config, id, sent, soon};

#[tokio::test]
async fn a_busy_aggregate_refuses_requests_and_others_do_not() {
    let mut config = config();
    config.admission.per_aggregate = 2.try_into().unwrap();
    let world = World::new(config).await;
    let held = world.store.hold_commits();
    let add = || Box::pin(world.execute("a", Command::Add { by: 1 }));
    let (mut first, mut second, mut other) = (add(), add(), Box::pin(world.execute("b", Command::Add { by: 1 })));
    sent(&mut first).await;
    sent(&mut second).await;
    let refused = world.execute("a", Command::Add { by: 1 }).await.unwrap_err();
    assert!(matches!(refused, CommandError::AggregateOverloaded), "{refused:?}");
    assert_eq!(world.read("a").await.unwrap_err(), QueryError::AggregateOverloaded);
    sent(&mut other).await;
    drop(held);
    for answer in [soon(first).await, soon(second).await, soon(other).await] {
        answer.unwrap();
    }
    soon(world.add("a", 1)).await;
    assert_eq!(world.stored("a").await, 3);
    assert!(world.drain().await.complete);
}

#[tokio::test]
async fn a_busy_node_refuses() {
    let mut config = config();
    config.admission.per_node = 2.try_into().unwrap();
    let world = World::new(config).await;
    let held = world.store.hold_commits();
    let (mut first, mut second) =
        (Box::pin(world.execute("a", Command::Add { by: 1 })), Box::pin(world.execute("b", Command::Add { by: 1 })));
    sent(&mut first).await;
    sent(&mut second).await;
    let refused = world.execute("c", Command::Add { by: 1 }).await.unwrap_err();
    assert!(matches!(refused, CommandError::NodeOverloaded), "{refused:?}");
    assert_eq!(world.read("c").await.unwrap_err(), QueryError::NodeOverloaded);
    assert_eq!(
        world.counters.history(&id("c"), Default::default(), PageLimit::ONE).await.unwrap_err(),
        QueryError::NodeOverloaded
    );
    drop(held);
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    soon(world.add("c", 1)).await;
    assert!(world.drain().await.complete);
}

#[tokio::test]
async fn every_way_a_request_can_end_returns_its_permits() {
    let mut config = config();
    config.admission.per_node = 1.try_into().unwrap();
    config.admission.per_aggregate = 1.try_into().unwrap();
    let world = World::new(config).await;
    for attempt in 0..20 {
        let name = format!("a-{attempt}");
        world.add_as("k", &name, 1).await.unwrap();
        assert!(world.add_as("k", &name, 1).await.unwrap().repeated);
        world.add_as("k", &name, 2).await.unwrap_err();
        world.execute(&name, Command::Refuse).await.unwrap_err();
        world.execute(&name, Command::Look).await.unwrap();
        world.execute(&name, Command::AddAll { by: vec![1; 5000] }).await.unwrap_err();
        world.read(&name).await.unwrap();
        world.execute(&name, Command::Panic).await.unwrap_err();
        world.execute(&name, Command::Poison).await.unwrap_err();
        let held = world.store.hold_commits();
        let mut hanging_up = Box::pin(world.execute("other", Command::Add { by: 1 }));
        sent(&mut hanging_up).await;
        drop(hanging_up);
        drop(held);
        loop {
            match soon(world.execute(&name, Command::Look)).await {
                Ok(outcome) => break assert_eq!(outcome.reply, 1),
                Err(CommandError::NodeOverloaded | CommandError::Restarting { .. }) => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    assert!(world.drain().await.complete);
}

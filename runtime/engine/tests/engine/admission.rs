//! Permits: what there is no room for is told so at once.

use dormouse_engine::{CommandError, QueryError};
use dormouse_journal::PageLimit;

use crate::counter::Command;
use crate::world::{World, config, id, sent, soon};

#[tokio::test]
async fn a_busy_aggregate_refuses_and_others_do_not_notice() {
    let mut config = config();
    config.admission.per_aggregate = 2.try_into().unwrap();
    let world = World::new(config).await;
    let held = world.store.hold_commits();
    let add = || Box::pin(world.told("a", Command::Add { by: 1 }));
    let (mut first, mut second, mut other) = (add(), add(), Box::pin(world.told("b", Command::Add { by: 1 })));
    sent(&mut first).await;
    sent(&mut second).await;
    let refused = world.told("a", Command::Add { by: 1 }).await.unwrap_err();
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
        (Box::pin(world.told("a", Command::Add { by: 1 })), Box::pin(world.told("b", Command::Add { by: 1 })));
    sent(&mut first).await;
    sent(&mut second).await;
    let refused = world.told("c", Command::Add { by: 1 }).await.unwrap_err();
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
async fn every_way_a_request_can_end_gives_its_places_back() {
    let mut config = config();
    config.admission.per_node = 1.try_into().unwrap();
    config.admission.per_aggregate = 1.try_into().unwrap();
    let world = World::new(config).await;
    for round in 0..20 {
        let name = format!("a-{round}");
        world.add_as("k", &name, 1).await.unwrap();
        assert!(world.add_as("k", &name, 1).await.unwrap().repeated);
        world.add_as("k", &name, 2).await.unwrap_err();
        world.told(&name, Command::Refuse).await.unwrap_err();
        world.told(&name, Command::Look).await.unwrap();
        world.told(&name, Command::AddAll { by: vec![1; 5000] }).await.unwrap_err();
        world.read(&name).await.unwrap();
        world.told(&name, Command::Panic).await.unwrap_err();
        world.told(&name, Command::Poison).await.unwrap_err();
        let held = world.store.hold_commits();
        let mut hanging_up = Box::pin(world.told("other", Command::Add { by: 1 }));
        sent(&mut hanging_up).await;
        drop(hanging_up);
        drop(held);
        loop {
            match soon(world.told(&name, Command::Look)).await {
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

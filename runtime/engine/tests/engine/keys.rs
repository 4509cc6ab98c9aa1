//! Command keys: a repeated command gets the first outcome.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::{CommandError, CommandOptions, Engine, QueryError, Reply};
use dormouse_journal::{Journal, Options, Store};
use dormouse_kernel::{Aggregate, Context, Fingerprint, Version, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::counter::{Command, Event};
use crate::world::{World, config, eventually, every, forgetful, id, key, keyed, sent, sleepy, soon, still_waits};

/// Repeats the first command, and compares both outcomes.
async fn the_first_outcome_again(world: &World) {
    let first = world.counters.outcome(&id("a"), &key("first")).await.unwrap().unwrap();
    let again = soon(world.send("a", Command::AddAll { by: vec![1, 2] }, keyed("first"))).await.unwrap();
    assert!(again.repeated);
    assert_eq!((again.version, again.reply, again.events.len()), (Version(2), 3, 2));
    assert_eq!(again, first);
}

async fn a_keyed_command(world: &World) {
    let first = world.send("a", Command::AddAll { by: vec![1, 2] }, keyed("first")).await.unwrap();
    assert!(!first.repeated);
    world.add_as("second", "a", 10).await.unwrap();
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_outcome() {
    let world = World::new(config()).await;
    a_keyed_command(&world).await;
    the_first_outcome_again(&world).await;
    assert_eq!(world.state("a").await, (13, 3));
}

#[tokio::test]
async fn a_new_key_needs_no_lookup_in_the_journal() {
    let world = World::new(config()).await;
    for number in 0..10 {
        world.add_as(&format!("k-{number}"), "a", 1).await.unwrap();
    }
    assert_eq!(world.store.look_ups(), 0);
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_outcome_after_a_sleep_in_memory() {
    let world = World::new(sleepy()).await;
    a_keyed_command(&world).await;
    world.all_asleep().await;
    assert_eq!(world.engine.dormant().0, 1);
    the_first_outcome_again(&world).await;
    assert_eq!(world.state("a").await, (13, 3));
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_outcome_after_a_sleep_in_the_journal() {
    let world = World::new(forgetful()).await;
    a_keyed_command(&world).await;
    world.all_asleep().await;
    the_first_outcome_again(&world).await;
    assert_eq!(world.state("a").await, (13, 3));
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_outcome_after_a_wake_up_from_a_snapshot() {
    let world = World::new(every(3, forgetful())).await;
    a_keyed_command(&world).await;
    world.all_asleep().await;
    eventually("there is a snapshot", || world.store.snapshots("a").contains(&3)).await;
    world.store.forget_reads();
    the_first_outcome_again(&world).await;
    world.add("a", 0).await;
    assert!(world.store.reads().iter().any(|read| read.after == Version(2)), "{:?}", world.store.reads());
    assert_eq!(world.state("a").await, (13, 4));
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_outcome_after_a_restart() {
    for config in [config(), every(1, config())] {
        let world = World::new(config.clone()).await;
        a_keyed_command(&world).await;
        let world = world.restart(config).await;
        the_first_outcome_again(&world).await;
        assert_eq!(world.state("a").await, (13, 3));
    }
}

#[tokio::test]
async fn keys_beyond_those_that_are_remembered_are_found_in_the_journal() {
    for mut config in [config(), sleepy(), forgetful(), every(2, forgetful())] {
        config.commands.recent_keys = 2.try_into().unwrap();
        let world = World::new(config.clone()).await;
        a_keyed_command(&world).await;
        for number in 0..100 {
            assert!(!soon(world.add_as(&format!("k-{number}"), "a", 1)).await.unwrap().repeated);
        }
        the_first_outcome_again(&world).await;
        let world = world.restart(config).await;
        the_first_outcome_again(&world).await;
        for number in 0..100 {
            assert!(soon(world.add_as(&format!("k-{number}"), "a", 1)).await.unwrap().repeated);
        }
        assert_eq!(world.state("a").await, (113, 103));
    }
}

#[tokio::test]
async fn more_keys_than_a_snapshot_keeps_are_found_in_the_journal() {
    let config = every(1, forgetful());
    let world = World::new(config.clone()).await;
    for number in 0..200 {
        world.add_as(&format!("k-{number}"), "a", 1).await.unwrap();
    }
    let world = world.restart(config).await;
    for number in (0..200).rev() {
        assert!(world.add_as(&format!("k-{number}"), "a", 1).await.unwrap().repeated, "{number}");
    }
    assert!(!world.add_as("new", "a", 1).await.unwrap().repeated);
    assert_eq!(world.state("a").await, (201, 201));
}

#[tokio::test]
async fn a_key_with_another_command_is_refused() {
    for config in [config(), sleepy(), forgetful()] {
        let world = World::new(config).await;
        world.add_as("k", "a", 1).await.unwrap();
        let reused = world.add_as("k", "a", 2).await.unwrap_err();
        assert!(matches!(reused, CommandError::KeyReused), "{reused:?}");
        let reused = world.send("a", Command::Look, keyed("k")).await.unwrap_err();
        assert!(matches!(reused, CommandError::KeyReused), "{reused:?}");
        assert_eq!(world.state("a").await, (1, 1));
    }
}

#[tokio::test]
async fn a_key_is_a_key_of_its_aggregate_only() {
    let world = World::new(config()).await;
    world.add_as("k", "a", 1).await.unwrap();
    assert!(!world.add_as("k", "b", 2).await.unwrap().repeated);
}

#[tokio::test]
async fn a_key_in_flight_is_refused_and_has_its_outcome_afterwards() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut first = Box::pin(world.add_as("k", "a", 1));
    sent(&mut first).await;
    soon(world.store.commit_arrives()).await;
    let in_flight = soon(world.add_as("k", "a", 1)).await.unwrap_err();
    assert!(matches!(in_flight, CommandError::KeyInFlight), "{in_flight:?}");
    drop(held);
    let first = soon(first).await.unwrap();
    let again = soon(world.add_as("k", "a", 1)).await.unwrap();
    assert_eq!((again.version, again.position, again.repeated), (first.version, first.position, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_the_same_key_one_is_carried_out() {
    let mut config = sleepy();
    config.commands.recent_keys = 1.try_into().unwrap();
    let world = World::new(config).await;
    for attempt in 0..50 {
        let name = format!("k-{attempt}");
        let all: Vec<_> = (0..8).map(|_| world.go("a", Command::Add { by: 1 }, keyed(&name))).collect();
        let mut fresh = 0;
        for answer in all {
            match soon(answer).await.unwrap() {
                Ok(outcome) => fresh += usize::from(!outcome.repeated),
                Err(error) => assert!(matches!(error, CommandError::KeyInFlight), "{error:?}"),
            }
        }
        assert_eq!(fresh, 1, "attempt {attempt}");
    }
    assert_eq!(world.state("a").await, (50, 50));
}

#[tokio::test]
async fn many_different_keys_at_once_get_through_however_few_are_remembered() {
    let mut config = config();
    config.commands.recent_keys = 1.try_into().unwrap();
    let world = World::new(config).await;
    let all: Vec<_> = (0..64).map(|n| world.go("a", Command::Add { by: 1 }, keyed(&format!("k-{n}")))).collect();
    for answer in all {
        assert!(!soon(answer).await.unwrap().unwrap().repeated);
    }
    assert_eq!(world.state("a").await, (64, 64));
}

#[tokio::test]
async fn the_outcome_of_an_unknown_key_is_none() {
    let world = World::new(config()).await;
    world.send("a", Command::Refuse, keyed("refused")).await.unwrap_err();
    world.send("a", Command::Look, keyed("looked")).await.unwrap();
    for name in ["never", "refused", "looked"] {
        assert_eq!(world.counters.outcome(&id("a"), &key(name)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_repeated_key_gets_its_outcome_whatever_version_is_expected_now() {
    let world = World::new(config()).await;
    let options = || CommandOptions { expected: dormouse_engine::Expected::Exactly(Version::ZERO), ..keyed("k") };
    world.send("a", Command::Add { by: 1 }, options()).await.unwrap();
    assert!(world.send("a", Command::Add { by: 1 }, options()).await.unwrap().repeated);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_ends_at_the_deadline_of_its_command() {
    let mut config = config();
    config.admission.per_node = 1.try_into().unwrap();
    let world = World::new(config).await;
    world.add_as("k", "a", 1).await.unwrap();
    let held = world.store.hold_reads();
    let deadline = Some(Instant::now() + Duration::from_millis(50));
    let mut again = Box::pin(world.send("a", Command::Add { by: 1 }, CommandOptions { deadline, ..keyed("k") }));
    still_waits(&mut again).await;
    let refused = world.execute("b", Command::Look).await.unwrap_err();
    assert!(matches!(refused, CommandError::NodeOverloaded), "it keeps its permit: {refused:?}");
    let expired = soon(again).await.unwrap_err();
    assert!(matches!(expired, CommandError::Expired), "{expired:?}");
    drop(held);
    assert!(world.add_as("k", "a", 1).await.unwrap().repeated);
    assert!(world.drain().await.complete);
}

/// The counter in later code: its command has gained a field, and its reply is a text.
#[derive(Clone, Default, Serialize, Deserialize)]
struct LaterCounter;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
enum LaterCommand {
    Add {
        by: i64,
        #[serde(default)]
        note: Option<String>,
    },
    AddAll {
        by: Vec<i64>,
    },
}

impl Aggregate for LaterCounter {
    const TYPE: &'static str = "counter";
    type Command = LaterCommand;
    type Event = Event;
    type Reply = String;
    type Rejection = Infallible;

    fn decide(&self, _command: LaterCommand, _context: &mut Context<Self>) -> Result<String, Infallible> {
        Ok("nothing done".to_owned())
    }

    fn evolve(&mut self, _event: &Event) {}
}

#[tokio::test]
async fn a_retry_with_the_same_content_is_the_same_command_although_its_type_has_changed_and_keeps_its_reply() {
    let world = World::new(config()).await;
    let content = |text: &[u8]| CommandOptions { content: Some(Fingerprint::of(text)), ..keyed("k") };
    world.send("a", Command::Add { by: 5 }, content(b"by 5")).await.unwrap();
    world.send("a", Command::AddAll { by: vec![1] }, keyed("typed")).await.unwrap();
    assert!(world.drain().await.complete);

    let journal = Journal::start(world.store.clone() as Arc<dyn Store>, Options::default()).await.unwrap();
    let engine = Engine::builder(config()).aggregate::<LaterCounter>().start(journal).await.unwrap();
    let counters = engine.aggregates::<LaterCounter>().unwrap();
    let add = || LaterCommand::Add { by: 5, note: None };
    let again = counters.execute_as_given(id("a"), add(), content(b"by 5")).await.unwrap();
    assert_eq!((again.reply, again.repeated), (Reply::Stored(encode(&5).unwrap()), true));
    let again = counters.execute_as_given(id("a"), LaterCommand::AddAll { by: vec![1] }, keyed("typed")).await;
    assert!(again.unwrap().repeated, "the command was recorded without its content");

    for options in [content(b"by 6"), keyed("k")] {
        let refused = counters.execute(id("a"), add(), options).await.unwrap_err();
        assert!(matches!(refused, CommandError::KeyReused), "{refused:?}");
    }
    let refused = counters.execute(id("a"), LaterCommand::AddAll { by: vec![] }, content(b"by 5")).await.unwrap_err();
    assert!(matches!(refused, CommandError::KeyReused), "{refused:?}");
    let unreadable = counters.execute(id("a"), add(), content(b"by 5")).await.unwrap_err();
    assert!(matches!(unreadable, CommandError::ReplyUnreadable(_)), "{unreadable:?}");
    let unreadable = counters.outcome(&id("a"), &key("k")).await.unwrap_err();
    assert!(matches!(unreadable, QueryError::Unreadable(_)), "{unreadable:?}");
    assert!(counters.outcome_as_given(&id("a"), &key("k")).await.unwrap().is_some());
}

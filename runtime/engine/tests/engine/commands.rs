//! The outcomes of commands.

use dormouse_journal::PageLimit;
use std::time::Duration;

use dormouse_engine::{CommandError, CommandOptions, EventSummary, Expected};
use dormouse_kernel::{Position, Version};
use tokio::time::Instant;

use crate::counter::{Command, Refused};
use crate::world::{World, config, eventually, id, key, keyed, sent, soon};

fn expecting(expected: Expected) -> CommandOptions {
    CommandOptions { expected, ..CommandOptions::default() }
}

#[tokio::test]
async fn an_outcome_names_its_events_versions_and_position() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let outcome = world.execute("b", Command::AddAll { by: vec![3, 4] }).await.unwrap();
    let added = |version| EventSummary { event_type: "Added".into(), version: Version(version) };
    assert_eq!(outcome.id, id("b"));
    assert_eq!((outcome.version, outcome.position), (Version(2), Some(Position(3))));
    assert_eq!(outcome.events, [added(1), added(2)]);
    assert_eq!((outcome.reply, outcome.repeated), (7, false));
}

#[tokio::test]
async fn the_context_of_a_command_is_recorded_with_each_event_and_the_command_with_the_first() {
    let world = World::new(config()).await;
    let options = CommandOptions {
        correlation: Some("conversation".to_owned()),
        subject: Some("alice".to_owned()),
        tenant: Some("acme".to_owned()),
        ..keyed("k")
    };
    world.send("a", Command::AddAll { by: vec![1, 2] }, options).await.unwrap();
    let history = world.counters.history(&id("a"), Version::ZERO, PageLimit::events(10)).await.unwrap();
    let metadata: Vec<_> = history.iter().map(|event| event.metadata().unwrap()).collect();
    assert!(metadata.iter().all(|metadata| metadata.correlation.as_deref() == Some("conversation")));
    assert!(metadata.iter().all(|metadata| metadata.tenant.as_deref() == Some("acme")));
    let command = metadata[0].command.as_ref().unwrap();
    assert_eq!((&*command.name, command.events), ("AddAll", 2));
    assert!(metadata[1].command.is_none());
    assert_eq!(history.iter().map(|event| event.command_key.clone()).collect::<Vec<_>>(), [Some(key("k")), None]);
}

#[tokio::test]
async fn a_refused_command_changes_nothing_even_if_it_had_emitted() {
    let world = World::new(config()).await;
    world.add("a", 5).await;
    let refused = world.execute("a", Command::Refuse).await.unwrap_err();
    assert!(matches!(refused, CommandError::Rejected(Refused { total: 5 })), "{refused:?}");
    assert_eq!(world.state("a").await, (5, 1));
}

#[tokio::test]
async fn a_command_that_expects_another_version_is_not_decided() {
    let world = World::new(config()).await;
    let add = || Command::Add { by: 1 };
    let missing = world.send("a", add(), expecting(Expected::Exists)).await.unwrap_err();
    assert!(matches!(missing, CommandError::VersionMismatch { actual: Version::ZERO, .. }), "{missing:?}");
    world.send("a", add(), expecting(Expected::Exactly(Version::ZERO))).await.unwrap();
    let there = world.send("a", add(), expecting(Expected::Exactly(Version::ZERO))).await.unwrap_err();
    assert!(matches!(there, CommandError::VersionMismatch { actual: Version(1), .. }), "{there:?}");
    world.send("a", add(), expecting(Expected::Exactly(Version(1)))).await.unwrap();
    world.send("a", add(), expecting(Expected::Exists)).await.unwrap();
    world.send("a", add(), expecting(Expected::Any)).await.unwrap();
    assert_eq!(world.state("a").await, (4, 4));
}

#[tokio::test]
async fn of_many_commands_that_expect_the_same_version_one_is_carried_out() {
    let world = World::new(config()).await;
    let expected = || expecting(Expected::Exactly(Version::ZERO));
    let tries: Vec<_> = (0..16).map(|_| world.go("a", Command::Add { by: 1 }, expected())).collect();
    let mut succeeded = 0;
    for answer in tries {
        match soon(answer).await.unwrap() {
            Ok(_) => succeeded += 1,
            Err(error) => assert!(matches!(error, CommandError::VersionMismatch { .. }), "{error:?}"),
        }
    }
    assert_eq!((succeeded, world.stored("a").await), (1, 1));
}

#[tokio::test]
async fn a_dry_run_answers_the_same_and_changes_nothing() {
    let world = World::new(config()).await;
    world.add("a", 1).await;
    let dry = CommandOptions { dry_run: true, ..keyed("k") };
    let outcome = world.send("a", Command::AddAll { by: vec![2, 3] }, dry.clone()).await.unwrap();
    assert_eq!((outcome.version, outcome.position, outcome.reply), (Version(3), None, 6));
    assert_eq!(outcome.events.len(), 2);
    assert_eq!((world.state("a").await, world.stored("a").await), ((1, 1), 1));
    assert!(world.send("a", Command::Refuse, dry).await.is_err());
    // The dry run did not use the key.
    assert!(!world.add_as("k", "a", 1).await.unwrap().repeated);
}

#[tokio::test]
async fn a_command_without_events_answers_with_the_head_of_the_journal() {
    let world = World::new(config()).await;
    world.add("a", 4).await;
    world.add("b", 4).await;
    let outcome = world.execute("a", Command::Look).await.unwrap();
    assert_eq!((outcome.reply, outcome.version, outcome.position), (4, Version(1), Some(Position(2))));
    assert!(outcome.events.is_empty());
    assert_eq!(world.stored("a").await, 1);
}

#[tokio::test]
async fn more_events_than_a_batch_holds_are_refused_and_the_aggregate_goes_on() {
    let mut config = config();
    config.journal.batch_events = 4.try_into().unwrap();
    let world = World::new(config).await;
    let refused = world.execute("a", Command::AddAll { by: vec![1; 5] }).await.unwrap_err();
    assert!(matches!(refused, CommandError::Unstorable(_)), "{refused:?}");
    assert_eq!(world.execute("a", Command::AddAll { by: vec![1; 4] }).await.unwrap().version, Version(4));
}

#[tokio::test]
async fn a_command_whose_deadline_has_passed_is_not_decided() {
    let world = World::new(config()).await;
    let late = CommandOptions { deadline: Some(Instant::now()), ..CommandOptions::default() };
    let expired = world.send("a", Command::Add { by: 1 }, late).await.unwrap_err();
    assert!(matches!(expired, CommandError::Expired), "{expired:?}");
    assert_eq!(world.add("a", 1).await.version, Version(1));
}

#[tokio::test]
async fn a_command_whose_deadline_passes_in_the_mailbox_is_not_decided() {
    let world = World::new(config()).await;
    let held = world.store.hold_reads();
    let deadline = Some(Instant::now() + Duration::from_millis(5));
    let options = CommandOptions { deadline, ..keyed("k") };
    let unknown = soon(world.send("a", Command::Add { by: 1 }, options)).await.unwrap_err();
    assert!(matches!(unknown, CommandError::OutcomeUnknown | CommandError::Expired), "{unknown:?}");
    drop(held);
    assert_eq!(soon(world.add("a", 7)).await.version, Version(1));
    assert_eq!(world.counters.outcome(&id("a"), &key("k")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_deadline_passes_after_its_decision_has_an_unknown_outcome_that_its_key_finds() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let deadline = Some(Instant::now() + Duration::from_millis(20));
    let going = world.go("a", Command::Add { by: 1 }, CommandOptions { deadline, ..keyed("k") });
    soon(world.store.commit_arrives()).await;
    let unknown = soon(going).await.unwrap().unwrap_err();
    assert!(matches!(unknown, CommandError::OutcomeUnknown), "{unknown:?}");
    drop(held);
    eventually("it is committed", || world.store.commits() == 1).await;
    let outcome = world.counters.outcome(&id("a"), &key("k")).await.unwrap().unwrap();
    assert_eq!((outcome.version, outcome.reply), (Version(1), 1));
}

#[tokio::test]
async fn a_sender_that_hangs_up_before_the_decision_cancels_its_command() {
    let world = World::new(config()).await;
    let held = world.store.hold_reads();
    let mut waiting = Box::pin(world.execute("a", Command::Add { by: 100 }));
    sent(&mut waiting).await;
    drop(waiting);
    drop(held);
    assert_eq!(soon(world.add("a", 1)).await.reply, 1);
    assert_eq!(world.stored("a").await, 1);
}

#[tokio::test]
async fn a_sender_that_hangs_up_after_the_decision_does_not_undo_it() {
    let world = World::new(config()).await;
    let held = world.store.hold_commits();
    let mut waiting = Box::pin(world.add_as("k", "a", 100));
    sent(&mut waiting).await;
    soon(world.store.commit_arrives()).await;
    drop(waiting);
    drop(held);
    assert_eq!(soon(world.add("a", 1)).await.reply, 101);
    assert!(world.add_as("k", "a", 100).await.unwrap().repeated);
}

#[tokio::test]
async fn commands_for_one_aggregate_are_decided_while_others_commit() {
    let world = World::new(config()).await;
    world.store.slow(Duration::from_millis(20));
    let all: Vec<_> = (0..200).map(|_| world.go("a", Command::Add { by: 1 }, CommandOptions::default())).collect();
    let mut versions = Vec::new();
    for answer in all {
        versions.push(soon(answer).await.unwrap().unwrap().version.0);
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=200).collect::<Vec<_>>());
    assert!(world.store.commits() <= 20, "200 commands took {} commits", world.store.commits());
}

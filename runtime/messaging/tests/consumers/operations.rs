//! Asynchronous commands are carried out once, and their operations tell how they ended.

use std::collections::HashSet;
use std::time::Duration;

use dormouse_kernel::{AddressedCommand, Backoff, CommandKey, Fingerprint, Version};
use dormouse_messaging::store::JobStateName;
use dormouse_messaging::{Condition, Delivered, OperationStatus, Options, RequestError, RequestedCommand};

use crate::world::{Note, World, eventually, options, success, write};

fn requested(note: &str) -> RequestedCommand {
    let to = AddressedCommand::new::<Note>(note, &write("x")).unwrap();
    RequestedCommand { to, key: None, content: None, condition: Condition::Any, only_own: false }
}

fn failed() -> Option<Delivered> {
    Some(Delivered::Failed("broken".to_owned()))
}

impl World {
    async fn dies(&self, operation: &str, reason: &str) {
        eventually(async || {
            matches!(self.bus.status(operation), OperationStatus::Dead { reason: found } if found.contains(reason))
        })
        .await;
        eventually(async || self.info("operations").await.jobs.dead == 1).await;
    }
}

#[tokio::test]
async fn a_command_is_carried_out_as_its_client_wants_it_and_its_operation_has_the_outcome() {
    let world = World::new().await;
    let (key, content) = (CommandKey::new("k").unwrap(), Some(Fingerprint::of(b"{}")));
    let condition = Condition::Exactly(Version(7));
    world.request("o-1", RequestedCommand { key: Some(key.clone()), content, condition, ..requested("a") }).await;
    world.idle("operations").await;
    assert_eq!(world.bus.status("o-1"), OperationStatus::Succeeded(success()));
    assert_eq!(world.bus.effects("a"), [write("x")]);
    let command = world.bus.client_commands().remove(0);
    assert_eq!((command.key, command.content, command.condition), (key, content, condition));
    // The client may have sent the key before.
    assert!(!command.is_first);
    assert_eq!((command.origin.correlation.as_deref(), command.origin.subject.as_deref()), (Some("c-1"), Some("ada")));
}

#[tokio::test]
async fn commands_without_a_key_get_keys_of_their_own() {
    let world = World::new().await;
    for number in 0..100 {
        world.request(&format!("o-{number}"), requested("a")).await;
    }
    world.idle("operations").await;
    let commands = world.bus.client_commands();
    let keys: HashSet<_> = commands.iter().map(|command| &command.key).collect();
    assert_eq!((keys.len(), world.bus.effects("a").len()), (100, 100));
    assert!(commands.iter().all(|command| command.is_first));
}

#[tokio::test]
async fn a_refused_command_is_not_accepted_after_a_crash() {
    let world = World::new().await;
    world.bus.refuse("a");
    world.request("o-1", requested("a")).await;
    world.request("o-2", requested("b")).await;
    world.idle("operations").await;
    let refused = world.bus.status("o-1");
    assert!(
        matches!(&refused, OperationStatus::Refused(refusal) if refusal.code.as_deref() == Some("no")),
        "{refused:?}"
    );
    world.bus.answer("a", None);
    // Nothing of what was done was stored.
    let world = world.started_without_progress().await;
    world.idle("operations").await;
    assert_eq!((world.bus.effects("a").len(), world.bus.effects("b").len()), (0, 1));
    assert_eq!((world.bus.status("o-1"), world.bus.client_commands().len()), (refused, 2));
}

#[tokio::test]
async fn a_command_whose_outcome_was_not_recorded_is_repeated_under_the_same_key() {
    let world = World::new().await;
    world.bus.answer("o-1", Some(Delivered::NotNow("the journal is away".to_owned())));
    world.request("o-1", requested("a")).await;
    eventually(async || !world.bus.client_commands().is_empty()).await;
    world.bus.answer("o-1", None);
    let world = world.restarted(|builder| builder).await;
    world.idle("operations").await;
    assert_eq!(world.bus.effects("a"), [write("x")]);
    assert_eq!(world.bus.status("o-1"), OperationStatus::Succeeded(success()));
    let keys: HashSet<_> = world.bus.client_commands().into_iter().map(|command| command.key).collect();
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn an_operation_whose_last_attempt_failed_is_dead_until_an_operator_retries_it() {
    let world = World::new().await;
    world.bus.answer("a", failed());
    world.request("o-1", requested("a")).await;
    world.dies("o-1", "broken").await;
    let dead = world.dead("operations").await.remove(0);
    assert_eq!((dead.attempts.len(), world.bus.client_commands().len()), (3, 3));

    world.messaging.retry("operations", dead.id).await.unwrap();
    eventually(async || world.bus.client_commands().len() == 6).await;
    world.dies("o-1", "broken").await;

    world.bus.answer("a", None);
    world.messaging.retry("operations", dead.id).await.unwrap();
    eventually(async || world.bus.status("o-1") == OperationStatus::Succeeded(success())).await;
    world.idle("operations").await;
    assert_eq!(world.bus.effects("a"), [write("x")]);
    assert_eq!(world.info("operations").await.jobs, Default::default());
}

#[tokio::test]
async fn the_command_of_an_operation_is_not_skipped_while_its_client_waits_for_the_end() {
    let mut options = options();
    for (_, queue) in &mut options.queues {
        queue.backoff = Backoff { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) };
    }
    let world = World::with(options, |builder| builder).await;
    world.bus.answer("a", failed());
    world.request("o-1", requested("a")).await;
    eventually(async || world.info("operations").await.jobs.waiting == 1).await;
    let waiting = world.messaging.jobs("operations", JobStateName::Waiting, None, 1).await.unwrap().remove(0).id;
    let refused = world.messaging.skip("operations", waiting).await.unwrap_err();
    assert!(matches!(refused, RequestError::WrongState { .. }), "{refused}");
    assert_eq!(world.bus.status("o-1"), OperationStatus::Pending);
}

#[tokio::test]
async fn a_command_that_panics_or_does_not_return_is_dead_and_holds_up_nobody() {
    let mut options = options();
    for (_, queue) in &mut options.queues {
        queue.timeout = Duration::from_millis(200);
    }
    let world = World::with(options, |builder| builder).await;
    world.request("o-1", requested("panic")).await;
    world.request("o-2", requested("a")).await;
    world.dies("o-1", "it panicked: ").await;
    world.idle("operations").await;
    assert_eq!(world.bus.status("o-2"), OperationStatus::Succeeded(success()));
    world.messaging.skip_dead("operations", 1).await.unwrap();

    world.bus.delay(Duration::from_secs(600));
    world.request("o-3", requested("a")).await;
    world.dies("o-3", "it took longer than ").await;
}

#[tokio::test]
async fn what_waits_while_the_consumer_is_paused_is_carried_out_after_a_restart() {
    let world = World::with(Options { paused: vec!["operations".to_owned()], ..options() }, |builder| builder).await;
    world.request("o-1", requested("a")).await;
    world.write("b", "something else").await;
    world.idle("messages").await;
    assert_eq!(world.bus.status("o-1"), OperationStatus::Pending);
    let world = world.configured(options()).restarted(|builder| builder).await;
    eventually(async || world.bus.status("o-1") == OperationStatus::Succeeded(success())).await;
    assert_eq!(world.bus.effects("a"), [write("x")]);
}

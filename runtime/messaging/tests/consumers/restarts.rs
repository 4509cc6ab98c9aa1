//! Stops, crashes and restarts: nothing is lost, and what is repeated has the same key.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_kernel::{Epoch, Event, Message, Position};
use dormouse_messaging::{
    ConsumerName, ConsumerState, Delivered, Failure, Handle, Handler, HandlerSources, Job, React, Reactions, Reactor,
    ReactorSources, StartError,
};
use tokio::time::Instant;

use crate::world::{Note, NoteEvent, World, eventually, write};

#[tokio::test]
async fn what_was_done_before_a_stop_is_not_done_again() {
    let mut world = World::new().await;
    for round in 0..5 {
        for number in 0..20 {
            world.send(&format!("a-{number}"), vec![Message::to::<Note>("b", write("x"))]).await;
        }
        world = world.restarted(|builder| builder).await;
        world.idle("messages").await;
        assert_eq!(world.bus.effect_count(), (round + 1) * 20);
    }
    // Some were interrupted by a stop and have the same keys, but none was started after it was stored as done.
    let keys: HashSet<_> = world.bus.deliveries().into_iter().map(|delivery| delivery.key).collect();
    assert_eq!(keys.len(), 100);
}

#[tokio::test]
async fn a_process_that_took_over_repeats_what_was_not_stored_under_the_same_keys() {
    let world = World::new().await;
    for number in 0..200 {
        world.send(&format!("a-{number}"), vec![Message::to::<Note>("b", write("x"))]).await;
    }
    eventually(async || world.bus.effect_count() > 50).await;
    let former = world.messaging.clone();
    // The former process goes on without knowing.
    let world = world.started_again(|builder| builder).await;
    world.idle("messages").await;
    let deliveries = world.bus.deliveries();
    let keys: HashSet<_> = deliveries.iter().map(|delivery| &delivery.key).collect();
    assert_eq!((keys.len(), world.bus.effect_count()), (200, 200));
    former.stop(Instant::now()).await;
}

#[tokio::test]
async fn a_process_whose_queues_were_taken_over_stops_its_consumers() {
    let world = World::new().await;
    let former = world.messaging.clone();
    world.store().acquire(Epoch(99)).await.unwrap();
    world.send("a", vec![Message::to::<Note>("b", write("x"))]).await;
    eventually(async || {
        former
            .states()
            .iter()
            .any(|info| matches!(&info.state, ConsumerState::Failed(reason) if reason.contains("another node")))
    })
    .await;
}

#[tokio::test]
async fn queues_of_another_history_are_refused() {
    let is_refused = async |world: &World, other: &World| {
        let refused = world.refused_with_store_of(other).await;
        assert!(matches!(refused, StartError::OtherHistory { .. }), "{refused}");
    };
    let (world, other) = (World::new().await, World::new().await);
    world.send("a", vec![Message::to::<Note>("b", write("x"))]).await;
    let messages = ConsumerName::new("messages").unwrap();
    eventually(async || {
        let progress = world.store().progress(&messages).await.unwrap().unwrap_or_default();
        progress.shards.iter().any(|shard| shard.low > Position::ZERO)
    })
    .await;
    // Its log is shorter, as that of an older copy.
    is_refused(&other, &world).await;

    // The start notes the history. The other log is longer, and has other events.
    let world = world.restarted(|builder| builder).await;
    for text in ["1", "2", "3"] {
        other.send("a", vec![Message::to::<Note>("b", write(text))]).await;
    }
    is_refused(&other, &world).await;
    let world = world.restarted(|builder| builder).await;
    world.idle("messages").await;
}

#[tokio::test]
async fn a_failed_job_waits_for_its_next_attempt_across_a_restart() {
    let world = World::new().await;
    world.bus.answer("b", Some(Delivered::Failed("broken".to_owned())));
    world.send("a", vec![Message::to::<Note>("b", write("1"))]).await;
    world.send("a", vec![Message::to::<Note>("b", write("2"))]).await;
    eventually(async || world.info("messages").await.jobs.blocked == 1).await;
    world.bus.answer("b", None);
    let world = world.restarted(|builder| builder).await;
    world.messaging.retry_dead("messages", 10).await.unwrap();
    eventually(async || world.bus.effects("b") == [write("1"), write("2")]).await;
}

/// Waits until it is told to go on, and says what it began.
#[derive(Clone, Default)]
struct Slow {
    began: Arc<Mutex<Vec<String>>>,
    may_end: Arc<AtomicBool>,
}

impl Handler for Slow {
    const NAME: &'static str = "slow";

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Note>()
    }
}

impl Handle<Note> for Slow {
    async fn handle(&self, _: &Event<'_, Note>, job: &Job) -> Result<(), Failure> {
        self.began.lock().unwrap().push(job.key().to_owned());
        while !self.may_end.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_stop_waits_for_jobs_until_its_deadline_and_gives_them_back_then() {
    let slow = Slow::default();
    let handler = slow.clone();
    let world = World::with(crate::world::options(), |builder| builder.handler(handler)).await;
    world.write("a", "x").await;
    eventually(async || slow.began.lock().unwrap().len() == 1).await;
    world.messaging.stop(Instant::now() + Duration::from_millis(10)).await;
    let handler = slow.clone();
    let world = world.started_again(|builder| builder.handler(handler)).await;
    eventually(async || slow.began.lock().unwrap().len() == 2).await;
    let keys = slow.began.lock().unwrap().clone();
    assert_eq!(keys[0], keys[1]);
    // Now it ends while the stop waits.
    slow.may_end.store(true, Ordering::Relaxed);
    let handler = slow.clone();
    let world = world.restarted(|builder| builder.handler(handler)).await;
    world.idle("handler/slow").await;
    assert_eq!(slow.began.lock().unwrap().len(), 2);
}

/// Sends each text to a note of that name, and panics at one.
struct Echo;

impl Reactor for Echo {
    const NAME: &'static str = "echo";

    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
        sources.of::<Note>()
    }
}

impl React<Note> for Echo {
    fn react(event: &Event<'_, Note>, reactions: &mut Reactions) {
        let NoteEvent::Written { text } = event.body() else { return };
        assert_ne!(text, "panic", "this reactor cannot do that");
        reactions.send::<Note>(text, write(text)).on_refused::<Note>("refused", write(text));
    }
}

#[tokio::test]
async fn a_reactor_sends_once_for_each_event_and_a_panic_costs_its_sequence() {
    let world = World::with(crate::world::options(), |builder| builder.reactor::<Echo>()).await;
    world.bus.refuse("no");
    for (note, text) in [("a", "x"), ("a", "no"), ("b", "panic"), ("b", "y"), ("a", "z"), ("c", "a/b")] {
        world.write(note, text).await;
    }
    eventually(async || world.info("reactor/echo").await.jobs.dead == 2).await;
    let world = world.restarted(|builder| builder.reactor::<Echo>()).await;
    world.idle("reactor/echo").await;
    let effects = ["x", "y", "z", "refused"].map(|note| world.bus.effects(note).len());
    assert_eq!(effects, [1, 0, 1, 1]);
    let errors: Vec<_> = world.dead("reactor/echo").await.iter().map(|row| row.attempts[0].error.clone()).collect();
    assert!(errors[0].contains("this reactor cannot do that") && errors[1].contains("slash"), "{errors:?}");
}

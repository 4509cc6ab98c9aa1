//! Dead letters: who waits behind them, and what operators do with them.

use dormouse_kernel::Message;
use dormouse_messaging::store::JobStateName;
use dormouse_messaging::{Delivered, Handle, Handler, HandlerSources, Job, Order, RequestError};

use crate::world::{Note, World, eventually, note_ref, write};

fn failed() -> Option<Delivered> {
    Some(Delivered::Failed("broken".to_owned()))
}

async fn with_dead_letter(world: &World) {
    world.bus.answer("b", failed());
    for text in ["1", "2", "3"] {
        world.send("a", vec![Message::to::<Note>("b", write(text))]).await;
    }
    eventually(async || {
        let jobs = world.info("messages").await.jobs;
        (jobs.waiting, jobs.blocked, jobs.dead) == (0, 2, 1)
    })
    .await;
}

#[tokio::test]
async fn later_events_of_its_aggregate_wait_behind_a_dead_letter_and_follow_it_in_order() {
    let world = World::new().await;
    with_dead_letter(&world).await;
    let dead = world.dead("messages").await.remove(0);
    assert_eq!((dead.sequence, dead.subject.as_str()), (note_ref("a"), "$outgoing"));
    assert_eq!(dead.attempts.len(), 3);
    assert!(dead.attempts.iter().all(|attempt| attempt.error == "broken"));

    world.bus.answer("b", None);
    world.messaging.retry("messages", dead.id).await.unwrap();
    world.idle("messages").await;
    assert_eq!(world.bus.effects("b"), [write("1"), write("2"), write("3")]);
    world.send("a", vec![Message::to::<Note>("b", write("4"))]).await;
    world.idle("messages").await;
    assert_eq!(world.bus.effects("b").len(), 4);
    assert_eq!(world.info("messages").await.jobs, Default::default());
}

#[tokio::test]
async fn a_retry_that_fails_again_keeps_all_attempts() {
    let world = World::new().await;
    with_dead_letter(&world).await;
    let id = world.dead("messages").await.remove(0).id;
    world.messaging.retry("messages", id).await.unwrap();
    eventually(async || world.messaging.job("messages", id).await.unwrap().attempts.len() == 6).await;
    eventually(async || world.info("messages").await.jobs.dead == 1).await;
    assert_eq!(world.messaging.job("messages", id).await.unwrap().attempts_allowed, 6);
}

#[tokio::test]
async fn a_skipped_dead_letter_lets_the_others_go_on() {
    let world = World::new().await;
    with_dead_letter(&world).await;
    let dead = world.dead("messages").await.remove(0).id;
    let blocked = world.messaging.jobs("messages", JobStateName::Blocked, None, 1).await.unwrap().remove(0).id;
    let refused = world.messaging.skip("messages", blocked).await.unwrap_err();
    assert!(matches!(refused, RequestError::WrongState { .. }), "{refused}");
    world.bus.answer("b", None);
    world.messaging.skip("messages", dead).await.unwrap();
    world.idle("messages").await;
    assert_eq!(world.bus.effects("b"), [write("2"), write("3")]);
    assert_eq!(world.messaging.skip("messages", dead).await, Err(RequestError::NoJob));
    assert_eq!(world.messaging.retry("nobody", dead).await, Err(RequestError::NoConsumer("nobody".to_owned())));
}

#[tokio::test]
async fn dead_letters_are_flushed_in_pages() {
    let world = World::new().await;
    world.bus.answer("b", failed());
    for number in 0..50 {
        world.send(&format!("a-{number}"), vec![Message::to::<Note>("b", write("x"))]).await;
    }
    eventually(async || world.info("messages").await.jobs.dead == 50).await;
    assert_eq!(world.messaging.skip_dead("messages", 30).await.unwrap(), 30);
    assert_eq!(world.messaging.skip_dead("messages", 30).await.unwrap(), 20);
    assert_eq!(world.messaging.skip_dead("messages", 30).await.unwrap(), 0);
    assert_eq!(world.info("messages").await.jobs, Default::default());
}

#[tokio::test]
async fn a_page_of_jobs_behind_a_dead_letter_is_followed_by_the_next() {
    let world = World::new().await;
    world.bus.answer("b", failed());
    for number in 0..300 {
        world.send("a", vec![Message::to::<Note>("b", write(&number.to_string()))]).await;
    }
    eventually(async || world.info("messages").await.jobs.blocked == 299).await;
    world.bus.answer("b", None);
    world.messaging.retry_dead("messages", 10).await.unwrap();
    for number in 300..320 {
        world.send("a", vec![Message::to::<Note>("b", write(&number.to_string()))]).await;
    }
    eventually(async || world.bus.effects("b").len() == 320).await;
    world.idle("messages").await;
    let expected: Vec<_> = (0..320).map(|number| write(&number.to_string())).collect();
    assert_eq!(world.bus.effects("b"), expected);
    assert_eq!(world.info("messages").await.jobs, Default::default());
}

#[tokio::test]
async fn all_dead_letters_are_retried_in_pages_and_none_twice_although_they_fail_again() {
    let world = World::new().await;
    world.bus.answer("b", failed());
    for number in 0..25 {
        world.send(&format!("a-{number}"), vec![Message::to::<Note>("b", write("x"))]).await;
    }
    eventually(async || world.info("messages").await.jobs.dead == 25).await;
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = world.messaging.retry_dead_after("messages", after, 10).await.unwrap();
        if page.count == 0 {
            assert_eq!(page.last, None);
            break;
        }
        pages.push(page.count);
        after = page.last;
        // Those of this page fail again before the next page is asked for.
        eventually(async || world.info("messages").await.jobs.dead == 25).await;
    }
    assert_eq!(pages, [10, 10, 5]);
    assert!(world.dead("messages").await.iter().all(|row| row.attempts.len() == 6));
    let first = world.messaging.skip_dead_after("messages", None, 24).await.unwrap();
    assert_eq!(world.messaging.skip_dead_after("messages", first.last, 24).await.unwrap().count, 1);
}

/// Fails for each text that is "bad".
struct Independent;

impl Handler for Independent {
    const NAME: &'static str = "independent";
    const ORDER: Order = Order::Independent;

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Note>()
    }
}

impl Handle<Note> for Independent {
    async fn handle(
        &self,
        event: &dormouse_kernel::Event<'_, Note>,
        job: &Job,
    ) -> Result<(), dormouse_messaging::Failure> {
        let crate::world::NoteEvent::Written { text } = event.body() else { return Ok(()) };
        if text == "bad" {
            return Err(dormouse_messaging::Failure::new("bad"));
        }
        let _accepted = job.send::<Note>("seen", write(text)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn later_events_pass_a_dead_letter_of_an_independent_consumer() {
    let world = World::with(crate::world::options(), |builder| builder.handler(Independent)).await;
    for text in ["1", "bad", "2", "bad", "bad", "3"] {
        world.write("a", text).await;
    }
    eventually(async || world.info("handler/independent").await.jobs.dead == 3).await;
    world.idle("handler/independent").await;
    assert_eq!(world.bus.effects("seen"), [write("1"), write("2"), write("3")]);
    // Retried, they fail again, and hold up nobody after that.
    assert_eq!(world.messaging.retry_dead("handler/independent", 10).await.unwrap(), 3);
    world.write("a", "4").await;
    eventually(async || world.bus.effects("seen").len() == 4).await;
    eventually(async || {
        let dead = world.dead("handler/independent").await;
        dead.len() == 3 && dead.iter().all(|row| row.attempts.len() == 6)
    })
    .await;
    assert_eq!(world.messaging.skip_dead("handler/independent", 10).await.unwrap(), 3);
    assert_eq!(world.info("handler/independent").await.jobs, Default::default());
}

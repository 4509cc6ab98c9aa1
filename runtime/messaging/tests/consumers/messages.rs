//! Messages reach their targets once, in order, and refusals reach the senders.

use dormouse_kernel::Message;
use dormouse_messaging::Delivered;

use crate::world::{Note, NoteCommand, World, write};

#[tokio::test]
async fn the_messages_of_an_aggregate_arrive_in_order_with_their_origin() {
    let world = World::new().await;
    for number in 0..100 {
        world.send("a", vec![Message::to::<Note>("b", write(&number.to_string()))]).await;
    }
    world.idle("messages").await;
    let expected: Vec<_> = (0..100).map(|number| write(&number.to_string())).collect();
    assert_eq!(world.bus.effects("b"), expected);
    let first = &world.bus.deliveries()[0];
    assert_eq!(first.origin.correlation.as_deref(), Some("c-1"));
    assert_eq!(first.origin.subject.as_deref(), Some("ada"));
    assert!(first.origin.causation.is_some() && first.is_first);
}

#[tokio::test]
async fn the_messages_of_one_command_arrive_in_order_at_each_target() {
    let world = World::new().await;
    let messages = (0..200).map(|number| {
        let target = if number % 2 == 0 { "even" } else { "odd" };
        Message::to::<Note>(target, write(&number.to_string()))
    });
    world.send("a", messages.collect()).await;
    world.idle("messages").await;
    for (target, rest) in [("even", 0), ("odd", 1)] {
        let expected: Vec<_> =
            (0..200).filter(|number| number % 2 == rest).map(|number| write(&number.to_string())).collect();
        assert_eq!(world.bus.effects(target), expected);
    }
}

#[tokio::test]
async fn a_refusal_is_an_outcome_that_the_sender_gets_if_it_wants_to() {
    let world = World::new().await;
    world.bus.refuse("b");
    let asked = Message::to::<Note>("b", write("x")).on_refused::<Note>("a", NoteCommand::Forget {});
    world.send("a", vec![asked, Message::to::<Note>("b", write("nobody asks"))]).await;
    world.send("a", vec![Message::to::<Note>("c", write("later"))]).await;
    world.idle("messages").await;
    assert_eq!(world.bus.effects("a"), [NoteCommand::Forget {}]);
    assert_eq!(world.bus.effects("c"), [write("later")]);
    let told = world.bus.deliveries().into_iter().find(|delivery| delivery.refusal.is_some()).unwrap();
    assert_eq!(told.refusal.unwrap().code, "no");
    assert_eq!(world.info("messages").await.jobs, Default::default());
}

#[tokio::test]
async fn a_message_that_was_refused_is_not_accepted_after_a_crash_if_its_sender_was_told() {
    let world = World::new().await;
    world.bus.refuse("b");
    let asked = || Message::to::<Note>("b", write("x")).on_refused::<Note>("a", NoteCommand::Forget {});
    // The second message of the command fails, so that both are delivered again.
    world.bus.answer("stuck", Some(Delivered::Failed("stuck".to_owned())));
    world.send("a", vec![asked(), Message::to::<Note>("stuck", write("y"))]).await;
    crate::world::eventually(async || world.info("messages").await.jobs.dead == 1).await;
    world.bus.answer("b", None);
    world.bus.answer("stuck", None);
    let dead = world.dead("messages").await.remove(0);
    world.messaging.retry("messages", dead.id).await.unwrap();
    world.idle("messages").await;
    assert_eq!(world.bus.effects("b"), []);
    assert_eq!((world.bus.effects("a"), world.bus.effects("stuck")), (vec![NoteCommand::Forget {}], vec![write("y")]));
}

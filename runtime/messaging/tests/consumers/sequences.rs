//! A sequence that fails holds up nobody else.

use std::collections::HashSet;

use dormouse_kernel::Message;
use dormouse_messaging::Delivered;

use crate::world::{Note, World, eventually, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sequences_go_on_while_some_of_them_fail() {
    const SEQUENCES: usize = 10_000;
    const FAILING: usize = 100;
    let world = World::new().await;
    for number in (0..SEQUENCES).step_by(SEQUENCES / FAILING) {
        world.bus.answer(&format!("to-{number}"), Some(Delivered::Failed("broken".to_owned())));
    }
    for text in ["1", "2", "3"] {
        for number in 0..SEQUENCES {
            world.send(&format!("from-{number}"), vec![Message::to::<Note>(format!("to-{number}"), write(text))]).await;
        }
    }
    eventually(async || world.bus.effect_count() == (SEQUENCES - FAILING) * 3).await;
    eventually(async || {
        let jobs = world.info("messages").await.jobs;
        (jobs.waiting, jobs.blocked, jobs.dead) == (0, 2 * FAILING as u64, FAILING as u64)
    })
    .await;
    let in_order = [write("1"), write("2"), write("3")];
    let effects = world.bus.all_effects();
    assert_eq!(effects.len(), SEQUENCES - FAILING);
    assert!(effects.values().all(|effects| *effects == in_order));
    world.idle("messages").await;

    // After the fix, everything arrives in order.
    for number in (0..SEQUENCES).step_by(SEQUENCES / FAILING) {
        world.bus.answer(&format!("to-{number}"), None);
    }
    assert_eq!(world.messaging.retry_dead("messages", 1000).await.unwrap(), FAILING);
    eventually(async || world.info("messages").await.jobs == Default::default()).await;
    let effects = world.bus.all_effects();
    assert_eq!(effects.len(), SEQUENCES);
    assert!(effects.values().all(|effects| *effects == in_order));
}

#[tokio::test]
async fn a_consumer_that_is_behind_holds_a_window_and_not_the_backlog() {
    let mut options = crate::world::options();
    options.paused = vec!["messages".to_owned()];
    let world = World::with(options, |builder| builder).await;
    for number in 0..5_000 {
        world.send(&format!("from-{number}"), vec![Message::to::<Note>("to", write("x"))]).await;
    }
    world.bus.delay(std::time::Duration::from_millis(1));
    world.messaging.configure(&[], &[]).unwrap();
    let seen = std::sync::Mutex::new(HashSet::new());
    eventually(async || {
        let info = world.messaging.states().into_iter().find(|info| info.name.as_str() == "messages").unwrap();
        seen.lock().unwrap().insert(info.ready + info.running);
        world.bus.effect_count() == 5_000
    })
    .await;
    let most = seen.lock().unwrap().iter().copied().max().unwrap();
    assert!(most > 100 && most <= 1024, "{most} jobs were in memory");
}

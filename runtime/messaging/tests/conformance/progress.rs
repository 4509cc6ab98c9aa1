//! How far a consumer has come.

use std::collections::HashSet;

use dormouse_kernel::Position;
use dormouse_messaging::store::{Changes, Progress};

use crate::support::{Place, consumer, id, job, low, mailer, put, waiting};

on_every_store! {
    a_consumer_that_has_never_committed_has_no_progress,
    a_consumer_that_has_committed_anything_has_progress,
    progress_is_read_as_it_was_written,
    progress_of_a_shard_is_replaced,
    progress_of_another_number_of_shards_is_forgotten_only_on_demand,
    a_position_that_is_both_done_and_forgotten_is_forgotten,
    consumers_are_independent,
}

async fn a_consumer_that_has_never_committed_has_no_progress(place: Place) {
    let store = place.owned().await;
    assert_eq!(store.progress(&mailer()).await.unwrap(), None);
    store.commit(&consumer("timers"), &Changes::default()).await.unwrap();
    assert_eq!(store.progress(&mailer()).await.unwrap(), None);
}

async fn a_consumer_that_has_committed_anything_has_progress(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &Changes::default()).await.unwrap();
    assert_eq!(store.progress(&mailer()).await.unwrap(), Some(Progress::default()));
    store.commit(&consumer("messages"), &put([job(1, "a", waiting(1))])).await.unwrap();
    assert_eq!(store.progress(&consumer("messages")).await.unwrap(), Some(Progress::default()));
}

async fn progress_is_read_as_it_was_written(place: Place) {
    let store = place.owned().await;
    // More than a statement takes.
    let progress: Vec<_> = (0..300).map(|shard| low(300, shard, u64::from(shard) * 10)).collect();
    let done: Vec<_> = (1..=1000).map(|number| Position(number * 7)).collect();
    let changes = Changes { progress: progress.clone(), done: done.clone(), ..Changes::default() };
    store.commit(&mailer(), &changes).await.unwrap();
    let expected = Progress { shards: progress.clone(), done: done.iter().copied().collect() };
    assert_eq!(store.progress(&mailer()).await.unwrap(), Some(expected));

    let changes = Changes { forget_done: done[..990].to_vec(), ..Changes::default() };
    store.commit(&mailer(), &changes).await.unwrap();
    let expected = Progress { shards: progress, done: done[990..].iter().copied().collect() };
    assert_eq!(store.progress(&mailer()).await.unwrap(), Some(expected));
}

async fn progress_of_a_shard_is_replaced(place: Place) {
    let store = place.owned().await;
    let changes = |progress: &[_]| Changes { progress: progress.to_vec(), ..Changes::default() };
    store.commit(&mailer(), &changes(&[low(2, 0, 5), low(2, 1, 6)])).await.unwrap();
    store.commit(&mailer(), &changes(&[low(2, 1, 8), low(2, 1, 9)])).await.unwrap();
    let progress = store.progress(&mailer()).await.unwrap().unwrap();
    assert_eq!(progress.shards, [low(2, 0, 5), low(2, 1, 9)]);
}

async fn progress_of_another_number_of_shards_is_forgotten_only_on_demand(place: Place) {
    let store = place.owned().await;
    let changes = |forget_other_shards, progress: &[_]| Changes {
        progress: progress.to_vec(),
        forget_other_shards,
        ..Changes::default()
    };
    store.commit(&mailer(), &changes(false, &[low(1, 0, 5)])).await.unwrap();
    store.commit(&mailer(), &changes(false, &[low(2, 0, 6)])).await.unwrap();
    let shards = async || store.progress(&mailer()).await.unwrap().unwrap().shards;
    assert_eq!(shards().await, [low(1, 0, 5), low(2, 0, 6)]);
    store.commit(&mailer(), &changes(true, &[])).await.unwrap();
    assert_eq!(shards().await, [low(1, 0, 5), low(2, 0, 6)], "nothing says which shards stay");
    store.commit(&mailer(), &changes(true, &[low(2, 1, 7)])).await.unwrap();
    assert_eq!(shards().await, [low(2, 0, 6), low(2, 1, 7)]);
    store.commit(&mailer(), &changes(true, &[low(4, 3, 8)])).await.unwrap();
    assert_eq!(shards().await, [low(4, 3, 8)]);
}

async fn a_position_that_is_both_done_and_forgotten_is_forgotten(place: Place) {
    let store = place.owned().await;
    let [one, two, three] = [1, 2, 3].map(Position);
    let done = Changes { done: vec![one, two], ..Changes::default() };
    store.commit(&mailer(), &done).await.unwrap();
    let both = Changes { done: vec![two, three, three], forget_done: vec![two], ..Changes::default() };
    store.commit(&mailer(), &both).await.unwrap();
    assert_eq!(store.progress(&mailer()).await.unwrap().unwrap().done, HashSet::from([one, three]));
}

async fn consumers_are_independent(place: Place) {
    let store = place.owned().await;
    let changes = Changes {
        progress: vec![low(1, 0, 5)],
        done: vec![Position(7)],
        put: vec![job(6, "a", waiting(1))],
        ..Changes::default()
    };
    let others = consumer("handler/printer");
    for consumer in [&mailer(), &others] {
        store.commit(consumer, &changes).await.unwrap();
    }
    let removed = Changes {
        progress: vec![low(2, 0, 9)],
        forget_other_shards: true,
        forget_done: vec![Position(7)],
        remove: vec![id(6)],
        ..Changes::default()
    };
    store.commit(&mailer(), &removed).await.unwrap();
    let progress = store.progress(&others).await.unwrap().unwrap();
    assert_eq!((progress.shards, progress.done), (vec![low(1, 0, 5)], HashSet::from([Position(7)])));
    assert_eq!(store.job(&others, id(6)).await.unwrap(), Some(job(6, "a", waiting(1))));
    assert_eq!(store.job(&mailer(), id(6)).await.unwrap(), None);
}

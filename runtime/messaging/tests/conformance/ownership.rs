//! Only the owner with the highest epoch writes.

use dormouse_kernel::Epoch;
use dormouse_messaging::store::{Error, JobState, Switch};

use crate::support::{Place, id, job, mailer, put, set, timer};

on_every_store! {
    a_commit_before_the_first_acquisition_is_fenced,
    a_store_that_another_has_taken_over_is_fenced,
    a_store_is_not_acquired_with_a_lower_epoch,
    a_store_may_be_acquired_again;
    durable: the_epoch_survives_reopening,
}

async fn a_commit_before_the_first_acquisition_is_fenced(place: Place) {
    let store = place.store().await;
    let changes = put([job(1, "a", JobState::Dead)]);
    assert_eq!(store.commit(&mailer(), &changes).await, Err(Error::Fenced));
    assert_eq!(store.set_switch(&mailer(), Switch::default()).await, Err(Error::Fenced));
    store.acquire(Epoch(1)).await.unwrap();
    assert_eq!(store.progress(&mailer()).await.unwrap(), None, "nothing was changed");
    store.commit(&mailer(), &changes).await.unwrap();
}

async fn a_store_that_another_has_taken_over_is_fenced(place: Place) {
    let (older, newer) = (place.owned().await, place.store().await);
    let changes = put([job(1, "a", JobState::Dead)]);
    older.commit(&mailer(), &changes).await.unwrap();
    assert_eq!(newer.commit(&mailer(), &changes).await, Err(Error::Fenced), "it has not acquired yet");
    newer.acquire(Epoch(2)).await.unwrap();

    let mut late = put([job(2, "a", JobState::Dead)]);
    late.set_timers = set([timer(1, "a", "due")]).set_timers;
    for _ in 0..2 {
        assert_eq!(older.commit(&mailer(), &late).await, Err(Error::Fenced));
        assert_eq!(older.set_switch(&mailer(), Switch::default()).await, Err(Error::Fenced));
    }
    for store in [&older, &newer] {
        assert_eq!(store.job(&mailer(), id(2)).await.unwrap(), None);
        assert_eq!(store.timer_count().await.unwrap(), 0);
        assert!(store.switches().await.unwrap().is_empty());
        assert!(store.job(&mailer(), id(1)).await.unwrap().is_some(), "it may still be read");
    }
    newer.commit(&mailer(), &late).await.unwrap();
    assert!(older.job(&mailer(), id(2)).await.unwrap().is_some());
}

async fn a_store_is_not_acquired_with_a_lower_epoch(place: Place) {
    let (store, other) = (place.store().await, place.store().await);
    store.acquire(Epoch(5)).await.unwrap();
    assert_eq!(other.acquire(Epoch(4)).await, Err(Error::Fenced));
    let changes = put([job(1, "a", JobState::Dead)]);
    assert_eq!(other.commit(&mailer(), &changes).await, Err(Error::Fenced));
    assert_eq!(store.acquire(Epoch(4)).await, Err(Error::Fenced));
    store.commit(&mailer(), &changes).await.unwrap();
}

async fn a_store_may_be_acquired_again(place: Place) {
    let store = place.owned().await;
    for epoch in [1, 1, 3] {
        store.acquire(Epoch(epoch)).await.unwrap();
        store.commit(&mailer(), &put([job(epoch, "a", JobState::Dead)])).await.unwrap();
    }
}

async fn the_epoch_survives_reopening(place: Place) {
    let store = place.store().await;
    store.acquire(Epoch(7)).await.unwrap();
    store.close().await;
    let store = place.store().await;
    assert_eq!(store.acquire(Epoch(6)).await, Err(Error::Fenced));
    store.acquire(Epoch(7)).await.unwrap();
}

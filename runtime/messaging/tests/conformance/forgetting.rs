//! A consumer that was removed leaves nothing behind.

use dormouse_kernel::Position;
use dormouse_messaging::store::{Changes, Error, JobState, JobStateName, Switch};

use crate::support::{Place, consumer, job, low, mailer, order, set, timer, waiting};

on_every_store! {
    nothing_of_a_forgotten_consumer_is_left,
    what_others_have_is_not_forgotten,
    only_the_owner_forgets,
}

fn changes() -> Changes {
    Changes {
        progress: vec![low(2, 0, 5), low(2, 1, 6)],
        done: vec![Position(9)],
        put: vec![job(6, "a", waiting(1)), job(7, "a", JobState::Blocked), job(8, "b", JobState::Dead)],
        ..set([timer(1, "a", "due")])
    }
}

async fn nothing_of_a_forgotten_consumer_is_left(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &changes()).await.unwrap();
    store.set_switch(&mailer(), Switch { paused: true, disabled: false }).await.unwrap();
    store.forget(&mailer()).await.unwrap();
    assert_eq!(store.progress(&mailer()).await.unwrap(), None);
    assert!(store.job_counts().await.unwrap().is_empty());
    assert!(store.switches().await.unwrap().is_empty());
    assert_eq!(store.next_due_job(&mailer()).await.unwrap(), None);
    assert_eq!(store.jobs(&mailer(), JobStateName::Dead, None, 9).await.unwrap(), []);
    assert_eq!(store.sequence_jobs(&mailer(), &order("a"), None, 9).await.unwrap(), []);
    store.forget(&mailer()).await.unwrap();

    store.commit(&mailer(), &Changes { progress: vec![low(1, 0, 1)], ..Changes::default() }).await.unwrap();
    let again = store.progress(&mailer()).await.unwrap().unwrap();
    assert_eq!((again.shards, again.done.len()), (vec![low(1, 0, 1)], 0), "it begins anew");
}

async fn what_others_have_is_not_forgotten(place: Place) {
    let store = place.owned().await;
    let printer = consumer("handler/printer");
    for consumer in [&mailer(), &printer] {
        store.commit(consumer, &changes()).await.unwrap();
        store.set_switch(consumer, Switch { paused: true, disabled: false }).await.unwrap();
    }
    let progress = store.progress(&printer).await.unwrap();
    store.forget(&mailer()).await.unwrap();
    assert_eq!(store.progress(&printer).await.unwrap(), progress);
    let (counts, switches) = (store.job_counts().await.unwrap(), store.switches().await.unwrap());
    assert_eq!((counts.len(), counts[&printer].dead, switches.len()), (1, 1, 1));
    assert_eq!(store.timer_count().await.unwrap(), 1, "timers belong to aggregates");
}

async fn only_the_owner_forgets(place: Place) {
    let (store, other) = (place.owned().await, place.store().await);
    store.commit(&mailer(), &changes()).await.unwrap();
    assert_eq!(other.forget(&mailer()).await, Err(Error::Fenced));
    assert!(store.progress(&mailer()).await.unwrap().is_some());
}

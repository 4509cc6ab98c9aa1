//! A commit happens as a whole, once, and stays.

use std::sync::Arc;

use dormouse_kernel::{Epoch, Position};
use dormouse_messaging::QueueStore;
use dormouse_messaging::store::{Changes, Error, JobState, Switch};
use tokio::task::JoinSet;

use crate::support::{Place, at, consumer, id, job, low, mailer, order, put, set, timer, timer_name, waiting};

on_every_store! {
    a_commit_that_is_repeated_changes_nothing,
    consumers_that_commit_at_the_same_time_do_not_disturb_each_other,
    a_closed_store_refuses_every_call;
    durable: a_commit_survives_reopening,
    a_commit_that_fails_changes_nothing,
}

/// Changes of every kind, after [`before`].
fn every_change() -> Changes {
    Changes {
        progress: vec![low(2, 0, 9), low(2, 1, 8)],
        forget_other_shards: true,
        done: vec![Position(10), Position(12)],
        forget_done: vec![Position(4)],
        put: vec![job(7, "a", waiting(5)), job(8, "a", JobState::Blocked)],
        remove: vec![id(3)],
        set_timers: vec![timer(5, "a", "due")],
        remove_timers: vec![(order("b"), timer_name("due"))],
    }
}

fn before() -> Changes {
    Changes {
        progress: vec![low(1, 0, 3)],
        done: vec![Position(4)],
        put: vec![job(3, "a", JobState::Dead)],
        set_timers: vec![timer(5, "b", "due")],
        ..Changes::default()
    }
}

/// What there is after both.
async fn assert_changed(store: &dyn QueueStore) {
    let progress = store.progress(&mailer()).await.unwrap().unwrap();
    assert_eq!(progress.shards, [low(2, 0, 9), low(2, 1, 8)]);
    assert_eq!(progress.done, [Position(10), Position(12)].into());
    let jobs = store.sequence_jobs(&mailer(), &order("a"), None, 9).await.unwrap();
    assert_eq!(jobs, [job(7, "a", waiting(5)), job(8, "a", JobState::Blocked)]);
    assert_eq!(store.timers(at(99), None, 9).await.unwrap(), [timer(5, "a", "due")]);
}

/// What there is after [`before`].
async fn assert_unchanged(store: &dyn QueueStore) {
    let progress = store.progress(&mailer()).await.unwrap().unwrap();
    assert_eq!(progress.shards, [low(1, 0, 3)]);
    assert_eq!(progress.done, [Position(4)].into());
    let jobs = store.sequence_jobs(&mailer(), &order("a"), None, 9).await.unwrap();
    assert_eq!(jobs, [job(3, "a", JobState::Dead)]);
    assert_eq!(store.timers(at(99), None, 9).await.unwrap(), [timer(5, "b", "due")]);
}

async fn a_commit_that_is_repeated_changes_nothing(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &before()).await.unwrap();
    for _ in 0..3 {
        store.commit(&mailer(), &every_change()).await.unwrap();
        assert_changed(&*store).await;
    }
}

async fn a_commit_survives_reopening(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &before()).await.unwrap();
    store.commit(&mailer(), &every_change()).await.unwrap();
    // One that is not closed, as after a crash, and one that is.
    for is_closed in [false, true] {
        let again = place.store().await;
        assert_changed(&*again).await;
        again.acquire(Epoch(2)).await.unwrap();
        again.commit(&mailer(), &every_change()).await.unwrap();
        if is_closed {
            again.close().await;
        }
    }
    store.close().await;
    assert_changed(&*place.store().await).await;
}

async fn a_commit_that_fails_changes_nothing(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &before()).await.unwrap();
    let (forbid, allow) = match &place {
        Place::Sqlite(_) => (
            "CREATE TRIGGER forbid BEFORE INSERT ON timer BEGIN SELECT RAISE(ABORT, 'a test wants it'); END",
            "DROP TRIGGER forbid",
        ),
        _ => (
            "ALTER TABLE timer ADD CONSTRAINT forbid CHECK (aggregate_id <> 'a')",
            "ALTER TABLE timer DROP CONSTRAINT forbid",
        ),
    };
    place.harm(forbid).await;
    for _ in 0..2 {
        let refused = store.commit(&mailer(), &every_change()).await;
        assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
        assert_unchanged(&*store).await;
    }
    place.harm(allow).await;
    store.commit(&mailer(), &every_change()).await.unwrap();
    assert_changed(&*store).await;
}

async fn consumers_that_commit_at_the_same_time_do_not_disturb_each_other(place: Place) {
    const COMMITS: u64 = 10;
    let store = place.owned().await;
    let mut committing = JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(&store);
        committing.spawn(async move {
            let name = consumer(&format!("handler/h-{number}"));
            for position in 1..=COMMITS {
                let changes = Changes {
                    progress: vec![low(1, 0, position)],
                    set_timers: set([timer(position as i64, &format!("o-{number}"), "due")]).set_timers,
                    ..put([job(position, "a", JobState::Dead)])
                };
                store.commit(&name, &changes).await.unwrap();
                let progress = store.progress(&name).await.unwrap().unwrap();
                assert_eq!(progress.shards, [low(1, 0, position)], "a commit that has returned is seen");
            }
        });
    }
    while let Some(committed) = committing.join_next().await {
        committed.unwrap();
    }
    let counts = store.job_counts().await.unwrap();
    assert_eq!(counts.len(), 12);
    assert!(counts.values().all(|counts| counts.dead == COMMITS), "{counts:?}");
    assert_eq!(store.timer_count().await.unwrap(), 12);
}

async fn a_closed_store_refuses_every_call(place: Place) {
    let store = place.owned().await;
    store.close().await;
    store.close().await;
    let (name, changes) = (mailer(), Changes::default());
    assert!(store.acquire(Epoch(9)).await.is_err());
    assert!(store.commit(&name, &changes).await.is_err());
    assert!(store.set_switch(&name, Switch::default()).await.is_err());
    assert!(store.progress(&name).await.is_err());
    assert!(store.held(&name, &[order("a")], true).await.is_err());
    assert!(store.due_jobs(&name, at(0), 1).await.is_err());
    assert!(store.next_due_job(&name).await.is_err());
    assert!(store.job(&name, id(1)).await.is_err());
    assert!(store.job_counts().await.is_err());
    assert!(store.timers(at(0), None, 1).await.is_err());
    assert!(store.timer_count().await.is_err());
    assert!(store.switches().await.is_err());
}

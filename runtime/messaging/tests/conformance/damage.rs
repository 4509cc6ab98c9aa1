//! What no store writes is damage: a store reports it, names the column, and never takes it for zero.

use std::fmt::Debug;

use dormouse_kernel::{Epoch, Position, Timestamp};
use dormouse_messaging::QueueStore;
use dormouse_messaging::store::{Changes, Error, JobStateName};

use crate::support::{Place, at, id, job, low, mailer, set, timer, waiting};

on_every_store! {
    ;
    durable: a_damaged_number_of_progress_is_reported,
    a_damaged_job_is_reported_by_everything_that_reads_it,
    an_unknown_state_is_reported_by_the_counts_too,
    a_damaged_timer_is_reported,
    a_damaged_epoch_is_reported,
}

async fn filled(place: &Place) -> std::sync::Arc<dyn QueueStore> {
    let store = place.owned().await;
    let changes = Changes {
        progress: vec![low(1, 0, 5)],
        done: vec![Position(7)],
        put: vec![job(6, "a", waiting(1))],
        ..set([timer(1, "a", "due")])
    };
    store.commit(&mailer(), &changes).await.unwrap();
    store
}

#[track_caller]
fn assert_damaged<T: Debug>(what: &str, read: Result<T, Error>) {
    match read {
        Err(Error::Storage(dormouse_storage::Error::Damaged(reason))) => {
            assert!(reason.contains(what), "{reason} does not name {what}");
        }
        other => panic!("{what} is not reported: {other:?}"),
    }
}

async fn a_damaged_number_of_progress_is_reported(place: Place) {
    let store = filled(&place).await;
    for (table, column, whole) in
        [("progress", "low", 5), ("progress", "shard", 0), ("progress", "shards", 1), ("done", "position", 7)]
    {
        place.harm(&format!("UPDATE {table} SET {column} = -1")).await;
        assert_damaged(&format!("{table}.{column} contains -1"), store.progress(&mailer()).await);
        place.harm(&format!("UPDATE {table} SET {column} = {whole}")).await;
    }
    store.progress(&mailer()).await.unwrap();
}

async fn a_damaged_job_is_reported_by_everything_that_reads_it(place: Place) {
    let store = filled(&place).await;
    let garbage = if matches!(place, Place::Postgres(_)) { "'\\xc1'" } else { "x'c1'" };
    for (column, damaged, whole) in [
        ("position", "-1", "6"),
        ("part", "-1", "0"),
        ("version", "-1", "6"),
        ("attempts_allowed", "-1", "5"),
        ("attempts_allowed", "4294967296", "5"),
        ("due", "-9223372036854775808", "1800000001000000"),
        ("attempts", garbage, ""),
    ] {
        place.harm(&format!("UPDATE job SET {column} = {damaged}")).await;
        let what = format!("job.{column}");
        assert_damaged(&what, store.due_jobs(&mailer(), at(9), 9).await);
        assert_damaged(&what, store.jobs(&mailer(), JobStateName::Waiting, None, 9).await);
        assert_damaged(&what, store.sequence_jobs(&mailer(), &crate::support::order("a"), None, 9).await);
        if !["position", "part"].contains(&column) {
            assert_damaged(&what, store.job(&mailer(), id(6)).await);
        }
        if column == "due" {
            assert_damaged(&what, store.next_due_job(&mailer()).await);
        }
        if !whole.is_empty() {
            place.harm(&format!("UPDATE job SET {column} = {whole}")).await;
            assert_eq!(store.job(&mailer(), id(6)).await.unwrap(), Some(job(6, "a", waiting(1))));
        }
    }
}

async fn an_unknown_state_is_reported_by_the_counts_too(place: Place) {
    let store = filled(&place).await;
    place.harm("UPDATE job SET state = 'lost'").await;
    assert_damaged("job.state contains \"lost\"", store.job(&mailer(), id(6)).await);
    assert_damaged("job.state contains \"lost\"", store.job_counts().await);
    assert_eq!(store.held(&mailer(), &[crate::support::order("a")], false).await.unwrap().len(), 1);
    // A state and a due time that do not go together.
    for (state, due) in [("waiting", "NULL"), ("blocked", "7"), ("dead", "7")] {
        place.harm(&format!("UPDATE job SET state = '{state}', due = {due}")).await;
        assert_damaged(&format!("job.state contains {state:?}"), store.job(&mailer(), id(6)).await);
    }
}

async fn a_damaged_timer_is_reported(place: Place) {
    let store = filled(&place).await;
    let garbage = if matches!(place, Place::Postgres(_)) { "'\\xc1'" } else { "x'c1'" };
    for (column, damaged, whole) in [
        ("position", "-1", "7"),
        ("set_at", "-1", "2"),
        ("due", "-9223372036854775808", "1800000001000000"),
        ("schedule", garbage, ""),
    ] {
        place.harm(&format!("UPDATE timer SET {column} = {damaged}")).await;
        assert_damaged(&format!("timer.{column}"), store.timers(Timestamp::MAX, None, 9).await);
        if !whole.is_empty() {
            place.harm(&format!("UPDATE timer SET {column} = {whole}")).await;
            assert_eq!(store.timers(Timestamp::MAX, None, 9).await.unwrap(), [timer(1, "a", "due")]);
        }
    }
}

async fn a_damaged_epoch_is_reported(place: Place) {
    let store = filled(&place).await;
    place.harm("UPDATE owner SET epoch = -1").await;
    assert_damaged("owner.epoch contains -1", store.acquire(Epoch(2)).await);
    place.harm("DELETE FROM owner").await;
    let refused = store.acquire(Epoch(2)).await;
    assert!(matches!(refused, Err(Error::Storage(dormouse_storage::Error::Damaged(_)))), "{refused:?}");
}

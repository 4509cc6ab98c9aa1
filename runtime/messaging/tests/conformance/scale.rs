//! Large queues. The times are printed, not checked: `cargo test -p dormouse-messaging --test conformance -- --ignored
//! --nocapture`.

use std::time::Instant;

use dormouse_kernel::Timestamp;
use dormouse_messaging::store::{Changes, JobState, JobStateName};

use crate::support::{Place, at, id, job, mailer, order, put, set, timer, waiting};

/// In one commit.
const BATCH: u64 = 1000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn large_queues_in_sqlite() {
    measure(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn large_queues_in_postgres() {
    measure(Place::postgres()).await;
}

async fn measure(place: Place) {
    let store = place.owned().await;
    let mut began = Instant::now();
    let mut lap = |what: &str| {
        println!("{what}: {:?}", began.elapsed());
        began = Instant::now();
    };
    let (dead, blocked) = (300_000, 1_000_000);
    for batch in 0..dead / BATCH {
        let positions = batch * BATCH + 1..=(batch + 1) * BATCH;
        store.commit(&mailer(), &put(positions.map(|at| job(at, "dead", JobState::Dead)))).await.unwrap();
    }
    lap("300,000 dead letters of one sequence");
    store.job_counts().await.unwrap();
    lap("count them");
    for batch in 0..blocked / BATCH {
        let positions = dead + batch * BATCH + 1..=dead + (batch + 1) * BATCH;
        let name = |at| format!("o-{}", at % 10_000);
        store.commit(&mailer(), &put(positions.map(|at| job(at, &name(at), JobState::Blocked)))).await.unwrap();
    }
    lap("1,000,000 blocked jobs of 10,000 sequences");
    for batch in 0..100 {
        let numbers = batch * 1000..(batch + 1) * 1000;
        let timers = numbers.map(|number| timer(number, &format!("o-{number}"), "due"));
        store.commit(&mailer(), &set(timers)).await.unwrap();
    }
    lap("100,000 timers");
    store.job_counts().await.unwrap();
    lap("count all jobs");
    let asked: Vec<_> = (0..1024).map(|number| order(&format!("o-{}", number * 17))).collect();
    for dead_too in [false, true] {
        store.held(&mailer(), &asked, dead_too).await.unwrap();
        lap("1,024 sequences held");
    }
    store.held(&mailer(), &[order("dead")], false).await.unwrap();
    lap("a sequence with 300,000 dead letters held");
    store.jobs(&mailer(), JobStateName::Dead, Some(id(250_000)), 100).await.unwrap();
    lap("100 dead letters");
    store.jobs(&mailer(), JobStateName::Blocked, Some(id(1_250_000)), 100).await.unwrap();
    lap("100 blocked jobs");
    store.sequence_jobs(&mailer(), &order("o-77"), Some(id(900_000)), 100).await.unwrap();
    lap("100 jobs of a sequence");
    store.due_jobs(&mailer(), at(9), 100).await.unwrap();
    lap("due jobs");
    store.next_due_job(&mailer()).await.unwrap();
    lap("next due job");
    store.timers(Timestamp::MAX, Some(&timer(50_000, "o-50000", "due").place), 1000).await.unwrap();
    lap("1,000 timers");
    store.timer_count().await.unwrap();
    lap("count timers");
    for number in 0..100 {
        let changes = Changes { remove: vec![id(number + 1)], ..put([job(number + 500_000, "a", waiting(1))]) };
        store.commit(&mailer(), &changes).await.unwrap();
    }
    lap("100 small commits");
    for batch in 0..dead / BATCH {
        let remove = (batch * BATCH + 1..=(batch + 1) * BATCH).map(id).collect();
        store.commit(&mailer(), &Changes { remove, ..Changes::default() }).await.unwrap();
    }
    lap("remove 300,000 dead letters");
}

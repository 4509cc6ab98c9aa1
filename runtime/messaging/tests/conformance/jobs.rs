//! Jobs: what is put is found, by everything that finds jobs, in order.

use std::collections::{HashMap, HashSet};

use dormouse_kernel::{Position, Timestamp, Version};
use dormouse_messaging::store::{Changes, FailedAttempt, JobCounts, JobId, JobRow, JobState, JobStateName};

use crate::support::{Place, aggregate, at, consumer, id, job, mailer, order, positions, put, waiting};

on_every_store! {
    a_job_is_read_as_it_was_written,
    a_job_that_is_put_again_is_replaced,
    a_job_that_is_both_put_and_removed_is_removed,
    of_several_puts_of_one_job_the_last_counts,
    jobs_about_one_event_are_distinguished_by_their_part,
    a_sequence_is_held_by_waiting_and_blocked_jobs,
    a_sequence_is_held_by_dead_jobs_on_demand,
    a_thousand_sequences_are_asked_for_at_once,
    due_jobs_come_earliest_first,
    a_due_time_is_kept_to_the_microsecond,
    the_next_due_job_is_the_earliest_that_waits,
    jobs_of_a_sequence_come_in_order_and_in_pages,
    jobs_of_a_state_come_in_order_and_in_pages,
    jobs_are_counted_by_consumer_and_state,
    more_jobs_than_a_statement_takes_are_put_and_removed,
}

async fn a_job_is_read_as_it_was_written(place: Place) {
    let store = place.owned().await;
    let far = Timestamp::from_second(Timestamp::MAX.as_second()).unwrap();
    let jobs = [
        JobRow {
            id: JobId { position: Position(i64::MAX.cast_unsigned()), part: i64::MAX },
            sequence: aggregate("stock-item", "ünï cødé"),
            version: Version(u64::from(u32::MAX) + 1),
            subject: "payment-due".to_owned(),
            state: JobState::Waiting { due: far },
            attempts: vec![
                FailedAttempt { at: at(1), error: "no \0 answer".to_owned() },
                FailedAttempt { at: Timestamp::MIN, error: String::new() },
            ],
            attempts_allowed: u32::MAX,
            payload: Some(vec![0, 255, 7]),
        },
        JobRow { attempts: Vec::new(), payload: Some(Vec::new()), ..job(1, "a", waiting(-4_000_000_000)) },
        job(2, "a", JobState::Blocked),
        job(3, "b", JobState::Dead),
    ];
    store.commit(&mailer(), &put(jobs.clone())).await.unwrap();
    for expected in &jobs {
        let found = store.job(&mailer(), expected.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected));
    }
    assert_eq!(store.job(&mailer(), id(4)).await.unwrap(), None);
    assert_eq!(store.job(&consumer("timers"), id(2)).await.unwrap(), None);
}

async fn a_job_that_is_put_again_is_replaced(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &put([job(1, "a", waiting(5)), job(2, "a", JobState::Blocked)])).await.unwrap();
    let replaced = JobRow {
        version: Version(9),
        subject: "OrderPaid".to_owned(),
        attempts: Vec::new(),
        attempts_allowed: 1,
        payload: Some(vec![1]),
        ..job(1, "b", JobState::Dead)
    };
    store.commit(&mailer(), &put([replaced.clone()])).await.unwrap();
    assert_eq!(store.job(&mailer(), id(1)).await.unwrap(), Some(replaced.clone()));
    assert_eq!(store.due_jobs(&mailer(), at(9), 9).await.unwrap(), []);
    let of_sequence = async |name| store.sequence_jobs(&mailer(), &order(name), None, 9).await.unwrap();
    assert_eq!(positions(&of_sequence("a").await), [2]);
    assert_eq!(of_sequence("b").await, [replaced]);
}

async fn a_job_that_is_both_put_and_removed_is_removed(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &put([job(1, "a", waiting(5))])).await.unwrap();
    let both = Changes {
        put: vec![job(1, "a", waiting(6)), job(2, "a", waiting(6)), job(3, "a", waiting(6))],
        remove: vec![id(1), id(2), id(4)],
        ..Changes::default()
    };
    store.commit(&mailer(), &both).await.unwrap();
    assert_eq!(positions(&store.due_jobs(&mailer(), at(9), 9).await.unwrap()), [3]);
}

async fn of_several_puts_of_one_job_the_last_counts(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &put([job(1, "a", waiting(5)), job(1, "a", JobState::Dead)])).await.unwrap();
    assert_eq!(store.job(&mailer(), id(1)).await.unwrap(), Some(job(1, "a", JobState::Dead)));
}

async fn jobs_about_one_event_are_distinguished_by_their_part(place: Place) {
    let store = place.owned().await;
    let part = |position, part| JobRow {
        id: JobId { position: Position(position), part },
        ..job(position, "a", JobState::Dead)
    };
    let jobs = [part(1, 0), part(1, 1), part(1, 2), part(2, 1)];
    store.commit(&mailer(), &put(jobs.clone())).await.unwrap();
    let read = async || store.jobs(&mailer(), JobStateName::Dead, None, 9).await.unwrap();
    assert_eq!(read().await, jobs);
    let remove = Changes { remove: vec![jobs[1].id, JobId { part: 0, ..jobs[3].id }], ..Changes::default() };
    store.commit(&mailer(), &remove).await.unwrap();
    assert_eq!(read().await, [part(1, 0), part(1, 2), part(2, 1)]);
}

async fn a_sequence_is_held_by_waiting_and_blocked_jobs(place: Place) {
    let store = place.owned().await;
    let jobs = [job(1, "a", waiting(1)), job(2, "b", JobState::Blocked), job(3, "c", JobState::Dead)];
    store.commit(&mailer(), &put(jobs)).await.unwrap();
    let asked = [order("a"), order("b"), order("c"), order("d"), aggregate("account", "a")];
    let held = store.held(&mailer(), &asked, false).await.unwrap();
    assert_eq!(held, HashSet::from([order("a"), order("b")]));
    assert_eq!(store.held(&mailer(), &[], false).await.unwrap(), HashSet::new());
    assert_eq!(store.held(&consumer("timers"), &asked, false).await.unwrap(), HashSet::new());
}

async fn a_sequence_is_held_by_dead_jobs_on_demand(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &put([job(1, "a", waiting(1)), job(3, "c", JobState::Dead)])).await.unwrap();
    let held = store.held(&mailer(), &[order("a"), order("c"), order("d")], true).await.unwrap();
    assert_eq!(held, HashSet::from([order("a"), order("c")]));
    // A dead job before or behind a blocked one changes nothing.
    store.commit(&mailer(), &put([job(2, "c", JobState::Blocked)])).await.unwrap();
    assert_eq!(store.held(&mailer(), &[order("c")], false).await.unwrap(), HashSet::from([order("c")]));
}

async fn a_thousand_sequences_are_asked_for_at_once(place: Place) {
    let store = place.owned().await;
    let names: Vec<_> = (0..1024).map(|number| format!("o-{number}")).collect();
    let jobs = names.iter().zip(1..).step_by(3).map(|(name, position)| job(position, name, JobState::Blocked));
    store.commit(&mailer(), &put(jobs)).await.unwrap();
    let asked: Vec<_> = names.iter().map(|name| order(name)).collect();
    let expected: HashSet<_> = asked.iter().step_by(3).cloned().collect();
    assert_eq!(store.held(&mailer(), &asked, false).await.unwrap(), expected);
}

async fn due_jobs_come_earliest_first(place: Place) {
    let store = place.owned().await;
    let dues = [(1, 9), (2, 3), (3, 5), (4, 3), (5, 20)];
    let jobs = dues.map(|(position, due)| job(position, "a", waiting(due)));
    store.commit(&mailer(), &put(jobs)).await.unwrap();
    store.commit(&mailer(), &put([job(6, "a", JobState::Blocked), job(7, "a", JobState::Dead)])).await.unwrap();
    let due = async |now, limit| positions(&store.due_jobs(&mailer(), at(now), limit).await.unwrap());
    assert_eq!(due(10, 99).await, [2, 4, 3, 1]);
    assert_eq!(due(10, 3).await, [2, 4, 3]);
    assert_eq!(due(10, 0).await, [0; 0]);
    assert_eq!(due(5, 99).await, [2, 4, 3], "due at this very time");
    assert_eq!(due(2, 99).await, [0; 0]);
}

async fn a_due_time_is_kept_to_the_microsecond(place: Place) {
    let store = place.owned().await;
    let time = |nanoseconds: i128| Timestamp::from_nanosecond(1_800_000_000_000_000_000 + nanoseconds).unwrap();
    let at_time = |due| job(1, "a", JobState::Waiting { due });
    store.commit(&mailer(), &put([at_time(time(5_999))])).await.unwrap();
    assert_eq!(store.next_due_job(&mailer()).await.unwrap(), Some(time(5_000)));
    assert_eq!(store.due_jobs(&mailer(), time(4_999), 9).await.unwrap(), []);
    assert_eq!(store.due_jobs(&mailer(), time(5_000), 9).await.unwrap(), [at_time(time(5_000))]);
    // The last time that there is: what is never due.
    store.commit(&mailer(), &put([at_time(Timestamp::MAX)])).await.unwrap();
    let last = Timestamp::from_second(Timestamp::MAX.as_second()).unwrap();
    assert_eq!(store.due_jobs(&mailer(), Timestamp::MAX, 9).await.unwrap(), [at_time(last)]);
    assert_eq!(store.due_jobs(&mailer(), time(0), 9).await.unwrap(), []);
}

async fn the_next_due_job_is_the_earliest_that_waits(place: Place) {
    let store = place.owned().await;
    assert_eq!(store.next_due_job(&mailer()).await.unwrap(), None);
    store.commit(&mailer(), &put([job(1, "a", waiting(9)), job(2, "a", waiting(3))])).await.unwrap();
    store.commit(&consumer("timers"), &put([job(2, "a", waiting(1))])).await.unwrap();
    assert_eq!(store.next_due_job(&mailer()).await.unwrap(), Some(at(3)));
    store.commit(&mailer(), &put([job(2, "a", JobState::Dead)])).await.unwrap();
    assert_eq!(store.next_due_job(&mailer()).await.unwrap(), Some(at(9)));
    store.commit(&mailer(), &put([job(1, "a", JobState::Blocked)])).await.unwrap();
    assert_eq!(store.next_due_job(&mailer()).await.unwrap(), None);
}

async fn jobs_of_a_sequence_come_in_order_and_in_pages(place: Place) {
    let store = place.owned().await;
    let states = [JobState::Dead, waiting(1), JobState::Blocked];
    let jobs = (1..=9).rev().map(|position| job(position, "a", states[position as usize % 3]));
    store.commit(&mailer(), &put(jobs.chain([job(100, "b", JobState::Dead)]))).await.unwrap();
    let mut after = None;
    for expected in [&[1, 2, 3, 4][..], &[5, 6, 7, 8], &[9], &[]] {
        let page = store.sequence_jobs(&mailer(), &order("a"), after, 4).await.unwrap();
        assert_eq!(positions(&page), expected);
        after = page.last().map(|job| job.id).or(after);
    }
    let other_type = store.sequence_jobs(&mailer(), &aggregate("account", "a"), None, 4).await.unwrap();
    assert_eq!(other_type, []);
}

async fn jobs_of_a_state_come_in_order_and_in_pages(place: Place) {
    let store = place.owned().await;
    let sequences = ["a", "b", "c"];
    let jobs = (1..=9).rev().map(|position| job(position, sequences[position as usize % 3], JobState::Dead));
    store.commit(&mailer(), &put(jobs)).await.unwrap();
    store.commit(&mailer(), &put([job(4, "a", JobState::Blocked), job(6, "a", waiting(1))])).await.unwrap();
    let mut after = None;
    for expected in [&[1, 2, 3][..], &[5, 7, 8], &[9], &[]] {
        let page = store.jobs(&mailer(), JobStateName::Dead, after, 3).await.unwrap();
        assert_eq!(positions(&page), expected);
        after = page.last().map(|job| job.id).or(after);
    }
    for (state, expected) in [(JobStateName::Blocked, 4), (JobStateName::Waiting, 6)] {
        assert_eq!(positions(&store.jobs(&mailer(), state, None, 9).await.unwrap()), [expected]);
    }
}

async fn jobs_are_counted_by_consumer_and_state(place: Place) {
    let store = place.owned().await;
    assert_eq!(store.job_counts().await.unwrap(), HashMap::new());
    let jobs = [job(1, "a", waiting(1)), job(2, "a", JobState::Blocked), job(3, "a", JobState::Blocked)];
    store.commit(&mailer(), &put(jobs)).await.unwrap();
    store.commit(&consumer("timers"), &put([job(1, "a", JobState::Dead)])).await.unwrap();
    let counts = |waiting, blocked, dead| JobCounts { waiting, blocked, dead };
    let expected = HashMap::from([(mailer(), counts(1, 2, 0)), (consumer("timers"), counts(0, 0, 1))]);
    assert_eq!(store.job_counts().await.unwrap(), expected);
    store.commit(&mailer(), &put([job(2, "a", JobState::Dead)])).await.unwrap();
    let remove = Changes { remove: vec![id(1)], ..Changes::default() };
    store.commit(&consumer("timers"), &remove).await.unwrap();
    assert_eq!(store.job_counts().await.unwrap(), HashMap::from([(mailer(), counts(1, 1, 1))]));
}

async fn more_jobs_than_a_statement_takes_are_put_and_removed(place: Place) {
    let store = place.owned().await;
    let jobs = (1..=1000).map(|position| job(position, "a", JobState::Dead));
    store.commit(&mailer(), &put(jobs)).await.unwrap();
    let count = async || store.job_counts().await.unwrap().get(&mailer()).map_or(0, |counts| counts.dead);
    assert_eq!(count().await, 1000);
    let remove = Changes { remove: (1..=999).map(id).collect(), ..Changes::default() };
    store.commit(&mailer(), &remove).await.unwrap();
    assert_eq!(count().await, 1);
    assert!(store.job(&mailer(), id(1000)).await.unwrap().is_some());
}

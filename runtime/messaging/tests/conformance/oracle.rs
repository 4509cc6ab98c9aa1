//! Under whatever changes, the databases show what the store in memory shows.

use std::collections::HashMap;

use dormouse_kernel::{AggregateRef, Epoch, Position, Schedule, Timestamp, Version};
use dormouse_messaging::store::{
    Changes, FailedAttempt, JobId, JobRow, JobState, JobStateName, Memory, ShardProgress, TimerPlace, TimerRow,
};
use dormouse_messaging::{ConsumerName, QueueStore};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Place, aggregate, consumer, order, timer_name};

#[test]
fn sqlite_shows_what_memory_shows() {
    compare(48, Place::sqlite);
}

#[test]
fn postgres_shows_what_memory_shows() {
    compare(12, Place::postgres);
}

fn compare(cases: u32, place: fn() -> Place) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let commits = vec((0..2_usize, changes()), 1..8);
    let checked = runner.run(&commits, |commits| {
        runtime.block_on(async {
            let place = place();
            let (memory, store) = (Memory::new(), place.owned().await);
            memory.acquire(Epoch(1)).await.unwrap();
            for (number, changes) in &commits {
                for store in [&memory as &dyn QueueStore, &*store] {
                    store.commit(&consumers()[*number], changes).await.unwrap();
                }
                assert_eq!(shown(&*store).await, shown(&memory).await);
            }
            store.close().await;
        });
        Ok(())
    });
    checked.unwrap();
}

/// All that a store shows, each with the question.
async fn shown(store: &dyn QueueStore) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    let mut note = |question: String, answer: String| shown.push((question, answer));
    for consumer in consumers() {
        let progress = store.progress(&consumer).await.unwrap().map(|progress| {
            let mut done: Vec<_> = progress.done.into_iter().collect();
            done.sort_unstable();
            (progress.shards, done)
        });
        note(format!("{consumer} progress"), format!("{progress:?}"));
        note(format!("{consumer} next"), format!("{:?}", store.next_due_job(&consumer).await.unwrap()));
        for now in 0..5 {
            let due = store.due_jobs(&consumer, time(now), 3).await.unwrap();
            note(format!("{consumer} due by {now}"), format!("{due:?}"));
        }
        for dead_too in [false, true] {
            let held = store.held(&consumer, &sequences(), dead_too).await.unwrap();
            let held: Vec<_> = sequences().into_iter().filter(|sequence| held.contains(sequence)).collect();
            note(format!("{consumer} held {dead_too}"), format!("{held:?}"));
        }
        for sequence in sequences() {
            let found = paged(async |after| store.sequence_jobs(&consumer, &sequence, after, 2).await.unwrap()).await;
            note(format!("{consumer} {sequence}"), found);
        }
        for state in [JobStateName::Waiting, JobStateName::Blocked, JobStateName::Dead] {
            let found = paged(async |after| store.jobs(&consumer, state, after, 2).await.unwrap()).await;
            note(format!("{consumer} {state:?}"), found);
        }
        for position in 1..6 {
            for part in 0..2 {
                let found = store.job(&consumer, JobId { position: Position(position), part }).await.unwrap();
                note(format!("{consumer} job {position}/{part}"), format!("{found:?}"));
            }
        }
    }
    let counts: HashMap<_, _> = store.job_counts().await.unwrap();
    let counts: Vec<_> = consumers().iter().map(|consumer| counts.get(consumer).copied()).collect();
    note("counts".to_owned(), format!("{counts:?}"));
    for until in 0..5 {
        let (mut after, mut timers): (Option<TimerPlace>, Vec<TimerRow>) = (None, Vec::new());
        loop {
            let page = store.timers(time(until), after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place.clone());
            timers.extend(page);
        }
        note(format!("timers by {until}"), format!("{timers:?}"));
    }
    note("timer count".to_owned(), format!("{:?}", store.timer_count().await.unwrap()));
    shown
}

async fn paged(page: impl AsyncFn(Option<JobId>) -> Vec<JobRow>) -> String {
    let (mut after, mut jobs) = (None, Vec::new());
    loop {
        let found = page(after).await;
        let Some(last) = found.last() else { return format!("{jobs:?}") };
        after = Some(last.id);
        jobs.extend(found);
    }
}

fn consumers() -> [ConsumerName; 2] {
    [consumer("messages"), consumer("handler/mailer")]
}

fn sequences() -> Vec<AggregateRef> {
    vec![order("a"), order("B"), order("ä"), aggregate("account", "a")]
}

/// A few times, with nanoseconds that databases do not keep, and far away.
fn time(number: usize) -> Timestamp {
    let near = |nanoseconds: i128| Timestamp::from_nanosecond(1_800_000_000_000_000_000 + nanoseconds).unwrap();
    [Timestamp::MIN, near(-1), near(0), near(1_000), Timestamp::MAX][number]
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0..5_usize).prop_map(time),
        // Behind the microsecond of one of the others.
        (1..999_i128).prop_map(|more| Timestamp::from_nanosecond(1_800_000_000_000_000_000 + more).unwrap()),
    ]
}

fn changes() -> impl Strategy<Value = Changes> {
    let positions = || vec((1..6_u64).prop_map(Position), 0..4);
    let timers = vec(timers(), 0..4);
    let unset = vec((0..4_usize, "[ab]").prop_map(|(of, name)| (sequences()[of].clone(), timer_name(&name))), 0..2);
    let rows = (vec(jobs(), 0..5), vec(ids(), 0..4), timers, unset);
    (vec(progress(), 0..3), any::<bool>(), positions(), positions(), rows).prop_map(
        |(progress, forget_other_shards, done, forget_done, (put, remove, set_timers, remove_timers))| Changes {
            progress,
            forget_other_shards,
            done,
            forget_done,
            put,
            remove,
            set_timers,
            remove_timers,
        },
    )
}

fn progress() -> impl Strategy<Value = ShardProgress> {
    (1..4_u16, 0..3_u16, 0..9_u64).prop_map(|(shards, shard, low)| ShardProgress { shards, shard, low: Position(low) })
}

fn ids() -> impl Strategy<Value = JobId> {
    (1..6_u64, 0..2_i64).prop_map(|(position, part)| JobId { position: Position(position), part })
}

fn jobs() -> impl Strategy<Value = JobRow> {
    let states =
        prop_oneof![times().prop_map(|due| JobState::Waiting { due }), Just(JobState::Blocked), Just(JobState::Dead),];
    let attempts = vec((times(), any::<String>()).prop_map(|(at, error)| FailedAttempt { at, error }), 0..3);
    let payload = proptest::option::of(vec(any::<u8>(), 0..4));
    (ids(), 0..4_usize, 0..9_u64, "[A-Za-z-]{1,8}", states, attempts, any::<u32>(), payload).prop_map(
        |(id, of, version, subject, state, attempts, attempts_allowed, payload)| JobRow {
            id,
            sequence: sequences()[of].clone(),
            version: Version(version),
            subject,
            state,
            attempts,
            attempts_allowed,
            payload,
        },
    )
}

fn timers() -> impl Strategy<Value = TimerRow> {
    let command = vec(any::<u8>(), 0..4);
    (times(), 0..4_usize, "[ab]", 0..9_u64, 0..9_u64, command).prop_map(|(due, of, name, position, set_at, command)| {
        TimerRow {
            place: TimerPlace { due, aggregate: sequences()[of].clone(), name: timer_name(&name) },
            position: Position(position),
            set_at: Version(set_at),
            schedule: Schedule::Once { due },
            payload: command,
        }
    })
}

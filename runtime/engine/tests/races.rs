//! Commands race with sleep, failures, senders that hang up, and commits that fail. Each scenario has a thousand small
//! runs on several threads. After a run, the journal shows whether every promise was kept.
//!
//! A run that fails prints its seed and scenario. `DORMOUSE_RACE_SEED=<seed>` repeats that run alone, often.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

#[path = "support/counter.rs"]
mod counter;
#[path = "support/world.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod world;

#[path = "races/ledger.rs"]
mod ledger;
#[path = "races/run.rs"]
mod run;

use run::Scenario;
use tokio::task::JoinSet;

/// Runs of each scenario.
const RUNS: u64 = 1_000;

/// Runs at a time. Some of them always wait for a timer.
const AT_ONCE: usize = 16;

async fn thousand_times(scenario: Scenario) {
    let chosen = std::env::var("DORMOUSE_RACE_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut runs = JoinSet::new();
    for number in 0..RUNS {
        if runs.len() >= AT_ONCE {
            runs.join_next().await.unwrap().unwrap();
        }
        runs.spawn(run::play(scenario, chosen.unwrap_or(number)));
    }
    while let Some(played) = runs.join_next().await {
        played.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_race_with_sleep() {
    thousand_times(Scenario { name: "sleep", panics: false, hang_ups: false, failing_commits: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_race_with_sleep_and_panics() {
    thousand_times(Scenario { name: "panics", panics: true, hang_ups: false, failing_commits: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_race_with_sleep_and_senders_that_hang_up() {
    thousand_times(Scenario { name: "hang-ups", panics: false, hang_ups: true, failing_commits: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_race_with_sleep_and_commits_that_fail() {
    thousand_times(Scenario { name: "failing commits", panics: false, hang_ups: false, failing_commits: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_race_with_all_of_it() {
    thousand_times(Scenario { name: "all of it", panics: true, hang_ups: true, failing_commits: true }).await;
}

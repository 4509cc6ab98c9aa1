//! Everything at once: commands, sleep, failures, senders that hang up, commits that fail. A thousand small rounds of
//! each, on several threads; afterwards the journal tells whether every promise was kept.
//!
//! A round that fails prints its seed and scenario. `DORMOUSE_RACE_SEED=<seed>` runs that round alone, often.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in what it is made of")]

#[path = "support/counter.rs"]
mod counter;
#[path = "support/world.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod world;

#[path = "races/ledger.rs"]
mod ledger;
#[path = "races/round.rs"]
mod round;

use round::Scenario;
use tokio::task::JoinSet;

/// Rounds per scenario.
const ROUNDS: u64 = 1_000;

/// Rounds under way at once: some of them always wait for a timer.
const AT_ONCE: usize = 16;

async fn thousand_times(scenario: Scenario) {
    let chosen = std::env::var("DORMOUSE_RACE_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut rounds = JoinSet::new();
    for number in 0..ROUNDS {
        if rounds.len() >= AT_ONCE {
            rounds.join_next().await.unwrap().unwrap();
        }
        rounds.spawn(round::play(scenario, chosen.unwrap_or(number)));
    }
    while let Some(played) = rounds.join_next().await {
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

//! Whether the checker would notice: each classic bug, planted, makes some seed fail.
//!
//! Failpoints belong to the process, so these tests are a program of their own, and take turns in it.

use dormouse_kernel::failpoint::Bug;
use dormouse_simulation::{Scenario, find};
use fail::FailScenario;

/// So many seeds may pass until one notices.
const SEEDS: u64 = 200;

/// Plants a bug, and says what the checker has to say about it.
fn notices(bug: Bug, scenario: Scenario) -> String {
    let planted = FailScenario::setup();
    fail::cfg(bug.name(), "return").expect("it is an action");
    let found = find(scenario, SEEDS);
    planted.teardown();
    let (seed, violations) = found.unwrap_or_else(|| panic!("{bug:?} went unnoticed through {SEEDS} seeds"));
    println!("{bug:?}: seed {seed}: {violations:#?}");
    violations.join("\n")
}

#[test]
fn without_a_bug_there_is_nothing_to_notice() {
    let none = FailScenario::setup();
    assert_eq!(find(Scenario::everything(), SEEDS), None);
    none.teardown();
}

#[test]
fn answers_before_the_commit_are_noticed() {
    let failing_stores = Scenario { failing_store: true, ..Scenario::default() };
    let found = notices(Bug::AcknowledgeBeforeCommit, failing_stores);
    assert!(found.contains("was durable") || found.contains("is not in the log"), "{found}");
}

#[test]
fn a_missing_fence_is_noticed() {
    let found = notices(Bug::NoFence, Scenario { zombies: true, ..Scenario::default() });
    assert!(found.contains("position"), "{found}");
}

#[test]
fn a_missing_version_check_is_noticed() {
    let found = notices(Bug::NoVersionCheck, Scenario::default());
    assert!(found.contains("was next"), "{found}");
}

#[test]
fn sleep_with_commits_in_flight_is_noticed() {
    let found = notices(Bug::EvictWithCommitsInFlight, Scenario { failing_store: true, ..Scenario::default() });
    assert!(found.contains("durable"), "{found}");
}

#[test]
fn a_snapshot_ahead_of_the_journal_is_noticed() {
    let found = notices(Bug::SnapshotAheadOfJournal, Scenario::default());
    assert!(found.contains("was snapshotted at"), "{found}");
}

#[test]
fn a_commit_that_is_repeated_without_asking_is_noticed() {
    let found = notices(Bug::RetryUnknownCommit, Scenario { failing_store: true, ..Scenario::default() });
    assert!(found.contains("is in the log") || found.contains("was next"), "{found}");
}

#[test]
fn commands_dropped_by_a_drain_are_noticed() {
    let found = notices(Bug::DropOnDrain, Scenario { drains: true, ..Scenario::default() });
    assert!(found.contains("was acknowledged, and is not in the log") || found.contains("was durable"), "{found}");
}

//! The checker finds each planted bug with some seed.
//!
//! The bugs are in the copy of the workspace that `tests/bugs/cargo` makes:
//!
//!     tests/bugs/cargo test --test planted -- --include-ignored
//!
//! A failpoint is on for the whole process. So these tests are a program of their own, and run one after the other.

use dormouse_simulation::{Scenario, find};
use fail::FailScenario;

/// The most seeds that are tried.
const SEEDS: u64 = 200;

/// Switches a bug on, and returns what the checker reports.
fn notices(bug: &str, scenario: Scenario) -> String {
    let planted = FailScenario::setup();
    fail::cfg(bug, "return").expect("it is an action");
    let found = find(scenario, SEEDS);
    planted.teardown();
    let (seed, violations) = found.unwrap_or_else(|| panic!("{bug} went unnoticed through {SEEDS} seeds"));
    println!("{bug}: seed {seed}: {violations:#?}");
    violations.join("\n")
}

#[test]
fn without_a_bug_there_is_nothing_to_notice() {
    let none = FailScenario::setup();
    assert_eq!(find(Scenario::everything(), SEEDS), None);
    none.teardown();
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn answers_before_the_commit_are_noticed() {
    let failing_stores = Scenario { failing_store: true, ..Scenario::default() };
    let found = notices("bug-acknowledge-before-commit", failing_stores);
    assert!(found.contains("was durable") || found.contains("is not in the log"), "{found}");
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn a_missing_fence_is_noticed() {
    let found = notices("bug-no-fence", Scenario { zombies: true, ..Scenario::default() });
    assert!(found.contains("position"), "{found}");
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn a_missing_version_check_is_noticed() {
    let found = notices("bug-no-version-check", Scenario::default());
    assert!(found.contains("was next"), "{found}");
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn sleep_with_commits_in_flight_is_noticed() {
    let found = notices("bug-evict-with-commits-in-flight", Scenario { failing_store: true, ..Scenario::default() });
    assert!(found.contains("durable"), "{found}");
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn a_snapshot_ahead_of_the_journal_is_noticed() {
    let found = notices("bug-snapshot-ahead-of-journal", Scenario::default());
    assert!(found.contains("was snapshotted at"), "{found}");
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn a_commit_that_is_repeated_without_asking_is_noticed() {
    let found = notices("bug-retry-unknown-commit", Scenario { failing_store: true, ..Scenario::default() });
    assert!(found.contains("is in the log") || found.contains("was next"), "{found}");
}

#[test]
#[ignore = "needs tests/bugs/cargo"]
fn commands_dropped_by_a_drain_are_noticed() {
    let found = notices("bug-drop-on-drain", Scenario { drains: true, ..Scenario::default() });
    assert!(found.contains("was acknowledged, and is not in the log") || found.contains("was durable"), "{found}");
}

//! Runs engine and journal with all kinds of faults, from seeds. The message of a seed that fails says how to play it
//! again.
//!
//! More seeds: `DORMOUSE_SIMULATION_SEEDS=100000 cargo test -p dormouse-simulation --test simulation`, starting with
//! `DORMOUSE_SIMULATION_FIRST`.

use dormouse_simulation::{Scenario, campaign, play};

/// Seeds per scenario: about 25 ms each in a debug build on one core.
const SEEDS: u64 = 800;

#[test]
fn crashes() {
    campaign(Scenario { name: "crashes", crashes: true, ..Scenario::default() }, SEEDS);
}

#[test]
fn drains() {
    campaign(Scenario { name: "drains", drains: true, panics: true, ..Scenario::default() }, SEEDS);
}

#[test]
fn zombies() {
    campaign(Scenario { name: "zombies", zombies: true, ..Scenario::default() }, SEEDS);
}

#[test]
fn failing_stores() {
    campaign(Scenario { name: "failing_stores", failing_store: true, ..Scenario::default() }, SEEDS);
}

#[test]
fn everything() {
    campaign(Scenario::everything(), SEEDS);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..100 {
        let played = play(Scenario::everything(), seed);
        // Another thread has other hash maps.
        let again = std::thread::spawn(move || play(Scenario::everything(), seed)).join().expect("it is played");
        assert_eq!(played.fingerprint, again.fingerprint, "seed {seed}");
    }
}

#[test]
fn other_seeds_give_other_traces() {
    let mut fingerprints: Vec<u64> = (0..100).map(|seed| play(Scenario::everything(), seed).fingerprint).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 100);
}

/// A campaign without faults finds nothing, so all faults must happen.
#[test]
fn a_hundred_seeds_get_into_all_kinds_of_trouble() {
    let trouble = [
        "crashes",
        "crashes in a commit",
        "Torn(Appends(0))",
        "Torn(Appends(1))",
        "drains",
        "Lost { committed: true }",
        "Lost { committed: false }",
        ": Refused",
        "Slow",
        "was told Unknown",
        "repeated: true",
        "KeyReused",
        "Refused {",
        "Panicked",
        "Missing",
        "its key is in flight",
        "undone",
        "fenced",
        "draining",
        "unavailable",
        "expired",
        "another version",
        "FindCommand",
        "SaveSnapshots",
    ];
    let traces: Vec<String> = (0..100).flat_map(|seed| play(Scenario::everything(), seed).trace).collect();
    let missing: Vec<&str> =
        trouble.into_iter().filter(|trouble| !traces.iter().any(|line| line.contains(trouble))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

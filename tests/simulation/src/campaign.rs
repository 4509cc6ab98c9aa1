//! Campaigns of many seeds, and the message for a seed that fails.

use std::env;

use crate::run::{Run, play};
use crate::scenario::Scenario;

/// Plays only this seed, and prints its trace.
const SEED: &str = "DORMOUSE_SIMULATION_SEED";

/// The number of seeds per scenario, instead of the small number of a test run.
const SEEDS: &str = "DORMOUSE_SIMULATION_SEEDS";

/// The first seed, so that a long campaign can skip the seeds of every test run.
const FIRST: &str = "DORMOUSE_SIMULATION_FIRST";

/// The lines of the trace in a message. The whole trace is printed if only that seed is played.
const LAST_LINES: usize = 60;

/// Plays seeds until one fails. The environment can set their number, or select a single seed.
///
/// # Panics
/// If a seed fails, with the seed and how to play it again.
pub fn campaign(scenario: Scenario, seeds: u64) {
    if let Some(seed) = number(SEED) {
        let run = play(scenario, seed);
        println!("{}", run.trace.join("\n"));
        return judge(scenario, seed, &run, usize::MAX);
    }
    let (first, seeds) = (number(FIRST).unwrap_or(0), number(SEEDS).unwrap_or(seeds));
    let mut events = 0;
    for seed in first..first + seeds {
        let run = play(scenario, seed);
        judge(scenario, seed, &run, LAST_LINES);
        events += run.events;
    }
    println!("{:?}: {seeds} seeds, {events} events", scenario.name);
}

/// The first of these seeds for which the checker finds violations, with the violations.
#[must_use]
pub fn find(scenario: Scenario, seeds: u64) -> Option<(u64, Vec<String>)> {
    (0..seeds).find_map(|seed| {
        let run = play(scenario, seed);
        (!run.violations.is_empty()).then_some((seed, run.violations))
    })
}

fn judge(scenario: Scenario, seed: u64, run: &Run, lines: usize) {
    let Run { violations, trace, .. } = run;
    assert!(
        violations.is_empty(),
        "scenario {:?}, seed {seed}:\n  {}\n\nthe end of its trace:\n{}\n\nplay it again, with the whole trace:\n  \
         {SEED}={seed} cargo test -p dormouse-simulation --test simulation {} -- --nocapture\n",
        scenario.name,
        violations.join("\n  "),
        trace[trace.len().saturating_sub(lines)..].join("\n"),
        scenario.name,
    );
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value:?}")))
}

//! How often a campaign strikes.

use std::env;

/// Set by `tests/run --cycles N`.
const CYCLES: &str = "DORMOUSE_TEST_CYCLES";

/// How many cycles a campaign has: `usual` in a run of all tests, any number when asked for.
///
/// # Panics
/// When the variable holds no number.
#[must_use]
pub fn cycles(usual: usize) -> usize {
    match env::var(CYCLES) {
        Ok(cycles) => cycles.parse().unwrap_or_else(|_| panic!("{CYCLES}={cycles} is no number")),
        Err(_) => usual,
    }
}

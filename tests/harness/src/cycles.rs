//! The number of cycles of a campaign.

use std::env;

/// Set by `tests/run --cycles N`.
const CYCLES: &str = "DORMOUSE_TEST_CYCLES";

/// The number of cycles of a campaign: `usual`, unless the variable sets another number.
///
/// # Panics
/// When the variable does not contain a number.
#[must_use]
pub fn cycles(usual: usize) -> usize {
    match env::var(CYCLES) {
        Ok(cycles) => cycles.parse().unwrap_or_else(|_| panic!("{CYCLES}={cycles} is no number")),
        Err(_) => usual,
    }
}

//! Random numbers that follow from a seed, which the environment can set.

use std::env;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seed of a test, to repeat a failure.
const SEED: &str = "DORMOUSE_TEST_SEED";

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): small, and good enough to choose moments.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed, always the same.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed is `DORMOUSE_TEST_SEED`, or else the time. Prints the seed for the output of a failed test.
    ///
    /// # Panics
    /// When the variable does not contain a number.
    #[must_use]
    pub fn of_test() -> Self {
        let seed = match env::var(SEED) {
            Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{SEED}={seed} is no number")),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64),
        };
        println!("to repeat the choices of this run: {SEED}={seed}");
        Self::seeded(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A time in `range`, to the microsecond.
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        let micros = (range.end - range.start).as_micros() as u64;
        range.start + Duration::from_micros(self.below(micros.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_always() {
        let numbers = |seed| {
            let mut random = Random::seeded(seed);
            [random.next(), random.next(), random.next()]
        };
        // From the reference implementation, for seed 0.
        assert_eq!(numbers(0), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn times_are_within_their_range() {
        let mut random = Random::seeded(7);
        let range = Duration::from_millis(50)..Duration::from_millis(1500);
        for _ in 0..1000 {
            assert!(range.contains(&random.duration(range.clone())));
        }
    }
}

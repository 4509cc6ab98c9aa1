//! Waiting for a condition.

use std::thread::sleep;
use std::time::{Duration, Instant};

const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// Evaluates `condition` again and again until it holds, and returns its value. `what` completes the sentence "… did
/// not happen within …".
///
/// # Panics
/// When it does not hold within `bound`. It is evaluated at least once, and once more after the last sleep.
#[track_caller]
pub fn eventually<C: Condition>(what: &str, bound: Duration, mut condition: impl FnMut() -> C) -> C::Found {
    let started = Instant::now();
    let mut pause = SHORTEST_SLEEP;
    loop {
        let last = started.elapsed() >= bound;
        if let Some(found) = condition().found() {
            return found;
        }
        assert!(!last, "{what} did not happen within {bound:?}");
        sleep(pause.min(bound.saturating_sub(started.elapsed())));
        pause = (pause * 2).min(LONGEST_SLEEP);
    }
}

/// The result types that [`eventually`] accepts: `bool` and `Option`.
pub trait Condition {
    /// The value of a condition that holds.
    type Found;

    /// `None` while it does not hold.
    fn found(self) -> Option<Self::Found>;
}

impl Condition for bool {
    type Found = ();

    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Condition for Option<T> {
    type Found = T;

    fn found(self) -> Option<T> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_true_is_returned() {
        let mut asked = 0;
        let found = eventually("a third question", Duration::from_secs(5), || {
            asked += 1;
            (asked == 3).then_some("third")
        });
        assert_eq!(found, "third");
    }

    #[test]
    #[should_panic(expected = "the impossible did not happen within 20ms")]
    fn what_stays_false_is_named() {
        eventually("the impossible", Duration::from_millis(20), || false);
    }
}

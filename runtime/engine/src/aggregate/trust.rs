//! Whether the domain code of a type may decide on a worker thread, or has shown that it keeps one to itself.
//!
//! A worker that is busy deciding does nothing else: what was woken on it last waits, and one worker less serves all the
//! others. Handing its other work to a fresh thread first costs some microseconds, as much as the decision. So it is done
//! only until a type has earned trust by quick decisions, and again after a slow one. A trusted type that suddenly loops
//! does occupy its worker; that there are spare ones is up to whoever starts the runtime.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio::time::Instant;

/// A decision is quick if it takes less: a thousand times what one usually takes, and little for those who wait.
const QUICK: Duration = Duration::from_millis(10);

/// Quick decisions in a row that earn trust. Few, so that a type costs no more than others soon after it was started;
/// several, because the first commands of an aggregate do little.
const EARNS_TRUST: u32 = 8;

/// What the decisions of one type have been like lately.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    quick_in_a_row: AtomicU32,
}

impl Trust {
    /// Lets the domain decide, away from the worker's other work unless it is trusted.
    pub(super) fn decide<T>(&self, started: Instant, decide: impl FnOnce() -> T) -> T {
        let quick = self.quick_in_a_row.load(Ordering::Relaxed);
        let decided = if quick >= EARNS_TRUST || !can_step_aside() { decide() } else { block_in_place(decide) };
        if started.elapsed() >= QUICK {
            self.quick_in_a_row.store(0, Ordering::Relaxed);
        } else if quick < EARNS_TRUST {
            // Two at once may count as one: it takes a little longer then.
            self.quick_in_a_row.store(quick + 1, Ordering::Relaxed);
        }
        decided
    }

    #[cfg(test)]
    fn is_trusted(&self) -> bool {
        self.quick_in_a_row.load(Ordering::Relaxed) >= EARNS_TRUST
    }
}

/// What a task wakes last waits for its worker, and no other, until the task returns (tokio's LIFO slot, from which
/// nobody steals). Waking something else puts it where the others find it.
pub(super) fn hand_on_what_was_woken() {
    // There is nothing to wait for.
    drop(tokio::spawn(async {}));
}

/// A runtime with one thread has none to hand its work to.
fn can_step_aside() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_earned_by_quick_decisions_and_lost_by_a_slow_one() {
        let trust = Trust::default();
        for _ in 0..EARNS_TRUST {
            assert!(!trust.is_trusted());
            assert_eq!(trust.decide(Instant::now(), || 3), 3);
        }
        assert!(trust.is_trusted());
        trust.decide(Instant::now(), || std::thread::sleep(QUICK));
        assert!(!trust.is_trusted());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn while_a_type_that_is_not_trusted_decides_its_worker_does_other_work() {
        let trust = Trust::default();
        let (tell, told) = std::sync::mpsc::channel();
        let deciding = tokio::spawn(async move {
            // Both are next on this, the only worker.
            tokio::spawn(async move { tell.send("served").unwrap() });
            trust.decide(Instant::now(), || told.recv_timeout(Duration::from_secs(10)))
        });
        assert_eq!(deciding.await.unwrap(), Ok("served"));
    }

    #[tokio::test]
    async fn a_runtime_with_one_thread_decides_on_it() {
        assert_eq!(Trust::default().decide(Instant::now(), || 3), 3);
    }
}

//! Runs tests of one process one at a time: two tests that take time or fill the machine would measure each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test holds the lock of this process. The lock is held until the value is dropped.
#[must_use = "the next one begins when this is dropped"]
pub fn alone() -> MutexGuard<'static, ()> {
    // A poisoned lock only means that the test before failed.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

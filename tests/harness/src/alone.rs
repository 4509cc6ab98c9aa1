//! One at a time, for tests that take time or fill the machine: two of them would measure each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test of this process that asked for it is running; lasts until it is dropped.
#[must_use = "the next one begins when this is dropped"]
pub fn alone() -> MutexGuard<'static, ()> {
    // A test that failed is over, too.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

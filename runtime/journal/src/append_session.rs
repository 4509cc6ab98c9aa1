//! The order between appends that build on each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dormouse_kernel::Version;

/// One activation of an aggregate, as the writer sees it: how much of what it decided is durable, and whether an append
/// of it failed. Everything submitted on an append session after a failed append rests on a state that never was, and is refused.
#[derive(Debug)]
pub struct AppendSession {
    durable: AtomicU64,
    broken: AtomicBool,
}

impl AppendSession {
    /// A append session that starts with what is durable already.
    #[must_use]
    pub const fn new(durable: Version) -> Self {
        Self { durable: AtomicU64::new(durable.0), broken: AtomicBool::new(false) }
    }

    /// All of the aggregate's events up to this version are durable.
    #[must_use]
    pub fn durable(&self) -> Version {
        Version(self.durable.load(Ordering::Acquire))
    }

    /// An append failed: nothing behind it on this append session can succeed.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(crate) fn advance(&self, durable: Version) {
        self.durable.store(durable.0, Ordering::Release);
    }

    pub(crate) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }
}

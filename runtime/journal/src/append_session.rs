//! Append sessions: appends that build on each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dormouse_kernel::Version;

/// The appends of one activation of an aggregate: up to which version they are durable, and whether one of them failed.
/// An append after a failed one builds on events that the journal does not have, so the writer refuses it.
#[derive(Debug)]
pub struct AppendSession {
    durable: AtomicU64,
    broken: AtomicBool,
}

impl AppendSession {
    /// A session of an aggregate whose events are durable up to this version.
    #[must_use]
    pub const fn new(durable: Version) -> Self {
        Self { durable: AtomicU64::new(durable.0), broken: AtomicBool::new(false) }
    }

    /// The version up to which the aggregate's events are durable.
    #[must_use]
    pub fn durable(&self) -> Version {
        Version(self.durable.load(Ordering::Acquire))
    }

    /// Whether an append failed, so that no later append of this session can succeed.
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

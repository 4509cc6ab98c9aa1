//! Where tests make a process fail: steps at which it can be made to die or to err, and classic bugs that can be planted
//! to see whether the tests would catch them. Without the feature `failpoints` all of it compiles to nothing.
//!
//! `FAILPOINTS="committed=100*off->1*return(abort)"` ends the process right after its 101st commit;
//! `abort-late` hangs there for a moment first, while all other threads go on, so that what was done too early shows.
//! `FAILPOINTS="bug-no-version-check=return"` plants a bug. The language of actions is that of the crate `fail`.

macro_rules! named {
    ($(#[$attribute:meta])* $type:ident { $($(#[doc = $doc:literal])* $variant:ident = $name:literal,)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[doc = $doc])* $variant,)* }

        impl $type {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name it is switched on by.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

named! {
    /// The steps from a command to its answer, and of the work behind.
    Step {
        /// A command was decided; its state knows nothing of it yet.
        Decided = "decided",
        /// The state in memory has followed the decision, which was not submitted yet.
        Applied = "applied",
        /// The decision is with the writer.
        Submitted = "submitted",
        /// The writer has a batch together.
        Gathered = "gathered",
        /// The batch was checked, and is about to be committed.
        Committing = "committing",
        /// The store has committed a batch; nobody knows yet. It can fail here: then the store's answer is lost, and
        /// what came of the batch is unknown.
        Committed = "committed",
        /// One command of a batch is about to be answered; others may have been.
        Answering = "answering",
        /// The HTTP response is about to be made of the answer.
        Responding = "responding",
        /// The index behind the log is about to be written.
        Indexing = "indexing",
        /// The index was written.
        Indexed = "indexed",
        /// Snapshots are about to be written.
        Snapshotting = "snapshotting",
        /// Snapshots were written.
        Snapshotted = "snapshotted",
        /// An aggregate goes to sleep.
        FallingAsleep = "falling-asleep",
        /// An aggregate wakes.
        Waking = "waking",
        /// A view is about to be moved on by a batch of events.
        Projecting = "projecting",
        /// A view was moved on.
        Projected = "projected",
    }
}

named! {
    /// Mistakes that event-sourced systems are known for. A test that cannot tell a process with one of them from one
    /// without proves nothing.
    Bug {
        /// Commands are answered before they are durable.
        AcknowledgeBeforeCommit = "bug-acknowledge-before-commit",
        /// SQLite's log is not synced at each commit.
        SynchronousNormal = "bug-synchronous-normal",
        /// The store does not look at the epoch of a commit.
        NoFence = "bug-no-fence",
        /// The writer does not compare versions.
        NoVersionCheck = "bug-no-version-check",
        /// The index is told of a batch before the log has it.
        IndexAheadOfLog = "bug-index-ahead-of-log",
        /// An aggregate goes to sleep, and keeps its state, while commits of it are under way.
        EvictWithCommitsInFlight = "bug-evict-with-commits-in-flight",
        /// A snapshot is taken of what is not durable yet, and believed later whatever the journal has.
        SnapshotAheadOfJournal = "bug-snapshot-ahead-of-journal",
        /// A batch with an unknown outcome is committed once more without asking, behind what is there.
        RetryUnknownCommit = "bug-retry-unknown-commit",
        /// A node that leaves acknowledges what it no longer submits.
        DropOnDrain = "bug-drop-on-drain",
        /// A view is told how far it is in a transaction of its own, before it has the documents.
        OffsetBeforeRows = "bug-offset-before-rows",
        /// A view has the documents before it is told how far it is.
        RowsBeforeOffset = "bug-rows-before-offset",
    }
}

#[cfg(feature = "failpoints")]
mod active {
    use std::time::Duration;

    use super::{Bug, Step};

    /// Time for an answer to leave that should not have.
    const LATE: Duration = Duration::from_millis(300);

    /// Reads `FAILPOINTS`. To be called once, before anything else runs.
    pub fn set_up() {
        // Dropping it would switch everything off again.
        std::mem::forget(fail::FailScenario::setup());
    }

    /// Dies here if a test wants it.
    pub fn reach(step: Step) {
        if let Some(reason) = failure(step) {
            panic!("there is no failing with {reason:?} at {}", step.name());
        }
    }

    /// Dies here if a test wants it, or says what to fail with.
    #[must_use]
    pub fn failure(step: Step) -> Option<String> {
        let action = fail::eval(step.name(), Option::unwrap_or_default)?;
        match action.as_str() {
            "abort" => std::process::abort(),
            "abort-late" => {
                std::thread::sleep(LATE);
                std::process::abort();
            }
            _ => Some(action),
        }
    }

    /// Whether a test has planted this bug.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        fail::eval(bug.name(), |_| ()).is_some()
    }
}

#[cfg(not(feature = "failpoints"))]
mod active {
    use super::{Bug, Step};

    /// Does nothing: the feature `failpoints` is off.
    pub const fn set_up() {}

    /// Does nothing: the feature `failpoints` is off.
    #[inline(always)]
    pub const fn reach(_: Step) {}

    /// Nothing: the feature `failpoints` is off.
    #[inline(always)]
    #[must_use]
    pub const fn failure(_: Step) -> Option<String> {
        None
    }

    /// No: the feature `failpoints` is off.
    #[inline(always)]
    #[must_use]
    pub const fn is_planted(_: Bug) -> bool {
        false
    }
}

pub use active::{failure, is_planted, reach, set_up};

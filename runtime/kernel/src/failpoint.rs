//! The steps at which a test can end the process or make it fail. Without the feature `failpoints`, all of this compiles
//! to nothing.
//!
//! `FAILPOINTS="committed=100*off->1*return(abort)"` ends the process right after its 101st commit. `abort-late` first
//! waits there for a moment while all other threads run on, so that effects of work done too early become visible. The
//! crate `fail` defines the language of the actions.

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

#[cfg(feature = "failpoints")]
mod active {
    use std::time::Duration;

    use super::Step;

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
}

#[cfg(not(feature = "failpoints"))]
mod active {
    use super::Step;

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
}

pub use active::{failure, reach, set_up};

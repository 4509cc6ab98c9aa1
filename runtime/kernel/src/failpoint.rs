//! The steps at which a test can end the process or make it fail. Without the feature `failpoints`, all of this compiles
//! to nothing.
//!
//! `FAILPOINTS="committed=100*off->1*return(abort)"` ends the process right after its 101st commit. `abort-late` first
//! waits there for a moment while all other threads run on, so that effects of work done too early become visible. The
//! crate `fail` defines the language of the actions.

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// The steps from a command to its answer, and those of background work.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step { $($(#[doc = $doc])* $variant,)* }

        impl Step {
            /// All steps.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in `FAILPOINTS`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

steps! {
    /// A command was decided. Its events are not applied yet.
    Decided = "decided",
    /// The events are applied to the state in memory, and not submitted yet.
    Applied = "applied",
    /// The events are submitted to the writer.
    Submitted = "submitted",
    /// The writer has gathered a batch.
    Gathered = "gathered",
    /// The batch was checked, and is about to be committed.
    Committing = "committing",
    /// The store has committed a batch, and the writer has not handled the result. A failure here loses the store's
    /// result, so the outcome of the batch is unknown.
    Committed = "committed",
    /// One command of a batch is about to be answered; others may have been.
    Answering = "answering",
    /// The HTTP response is about to be written.
    Responding = "responding",
    /// The index of the log is about to be written.
    Indexing = "indexing",
    /// The index was written.
    Indexed = "indexed",
    /// Snapshots are about to be written.
    Snapshotting = "snapshotting",
    /// Snapshots were written.
    Snapshotted = "snapshotted",
    /// An aggregate is about to be unloaded.
    FallingAsleep = "falling-asleep",
    /// An aggregate is about to be loaded.
    Waking = "waking",
    /// A batch of events is about to be committed to a view.
    Projecting = "projecting",
    /// The batch was committed to the view.
    Projected = "projected",
    /// A job of a consumer is about to be attempted.
    Attempting = "attempting",
    /// The job was attempted, and nothing says so yet.
    Attempted = "attempted",
    /// The progress of a consumer is about to be stored.
    StoringProgress = "storing-progress",
    /// The progress was stored.
    StoredProgress = "stored-progress",
}

#[cfg(feature = "failpoints")]
mod active {
    use std::time::Duration;

    use super::Step;

    /// Enough time for a wrong answer to be sent.
    const LATE: Duration = Duration::from_millis(300);

    /// Reads `FAILPOINTS`. Must be called once, before anything else runs.
    pub fn set_up() {
        // Dropping it would switch all failpoints off again.
        std::mem::forget(fail::FailScenario::setup());
    }

    /// Ends the process here if a test wants it.
    pub fn reach(step: Step) {
        if let Some(reason) = failure(step) {
            panic!("the step {} cannot fail with {reason:?}, only end the process", step.name());
        }
    }

    /// Ends the process here if a test wants it, or returns the reason to fail with.
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

    /// Returns `None`: the feature `failpoints` is off.
    #[inline(always)]
    #[must_use]
    pub const fn failure(_: Step) -> Option<String> {
        None
    }
}

pub use active::{failure, reach, set_up};

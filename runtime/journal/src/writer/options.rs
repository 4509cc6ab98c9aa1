//! The limits of the writer.

use std::time::Duration;

use dormouse_encryption::DataKeys;

/// The default patience. A commit to a local disk takes milliseconds: one that takes longer than this waits for a disk
/// that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(7);

/// The limits of the writer.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most events in one commit.
    pub batch_events: usize,
    /// Most submissions that wait for the writer. Past it, submitting waits.
    pub queue: usize,
    /// A writer counts as stalled if it has finished nothing for longer although a submission waits.
    pub patience: Duration,
    /// The keys that open what is sealed in events and snapshots. `None`: nothing is.
    pub data_keys: Option<DataKeys>,
}

impl Default for Options {
    fn default() -> Self {
        // 1,024 rows is the largest statement that the stores prepare; the queue holds several such batches.
        Self { batch_events: 1024, queue: 16_384, patience: PATIENCE, data_keys: None }
    }
}

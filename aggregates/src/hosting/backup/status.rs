//! The status of a backup.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The status of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupStatus {
    /// The backup waits for the answer of the site.
    Created,
    /// A job makes the backup.
    Running,
    /// The backup exists.
    Completed,
    /// There was nothing to copy, or the job failed.
    Failed,
}

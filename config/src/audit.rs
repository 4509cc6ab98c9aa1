//! `[audit]`: the log of what operators changed, and of which callers were let in.

use std::path::PathBuf;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::text;

/// The log of what operators changed, and of which callers were let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Whether there is such a log. Default `false`; the profiles `production` and `enterprise` set it.
    pub enabled: bool,
    /// The directory of the log: one for each server. Default `./data/audit`.
    pub directory: PathBuf,
    /// The file with the key of the log's hashes. It is made if it and the log are missing. Default `./data/audit.key`.
    pub key: PathBuf,
    /// The most bytes of the log. Beyond it, what changes something below `/admin` is refused. Default 1 GiB.
    #[serde(with = "text::size")]
    pub max_size: ByteSize,
}

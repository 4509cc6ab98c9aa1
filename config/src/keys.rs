//! `[keys]`: the keys that encrypt data at rest.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::JournalUrl;

/// The keys that encrypt data at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The file with the wrapping keys, which encrypt the data keys. Default empty: nothing is encrypted, and nothing
    /// that was can be read.
    pub file: PathBuf,
    /// Where the encrypted data keys are. Default `sqlite://./keys`. It must not be where the journal is.
    pub url: JournalUrl,
}

impl Keys {
    /// The file with the wrapping keys, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        Some(&*self.file).filter(|file| !file.as_os_str().is_empty())
    }
}

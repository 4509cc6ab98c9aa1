//! `[cache]`: results of queries that are kept in memory.

use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::text;

/// Results of queries that are kept in memory. They are never older than the view: the worker that writes a document
/// drops the results that contain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Whether results are kept at all. Default true; set it to false if documents are hardly ever read twice, or if
    /// memory is scarce.
    pub enabled: bool,
    /// How long a result is kept at most. Default 1800 s; lower it to free memory earlier.
    #[serde(with = "text::duration")]
    pub ttl: Duration,
    /// Most results, documents and lists together. Default 5,000; raise it for views with many busy documents.
    pub entries: NonZeroU64,
    /// Memory for the results. Default 512 MiB; each result counts with at least its share, `size` divided by
    /// `entries`, so raise both together.
    #[serde(with = "text::size")]
    pub size: ByteSize,
}

//! `[cache]`: answers to queries that are kept in memory.

use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::text;

/// Answers to queries that are kept in memory. What is kept is never older than what the view has: whoever writes a
/// document drops it from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Whether answers are kept at all. Default true; false where views are read once, or memory is scarce.
    pub enabled: bool,
    /// How long one is kept at most. Default 1800 s; lower it to give memory back sooner.
    #[serde(with = "text::duration")]
    pub ttl: Duration,
    /// Answers kept at most, documents and lists alike. Default 5000; raise it for views whose busy documents are many.
    pub entries: NonZeroU64,
    /// Memory for them at most. Default 512 MiB; each is counted with at least its share, `size` over `entries`.
    #[serde(with = "text::size")]
    pub size: ByteSize,
}

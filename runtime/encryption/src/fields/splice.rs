//! Replaces parts of a payload.

use std::ops::Range;

/// New bytes for a range.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) at: Range<usize>,
    pub(super) bytes: Vec<u8>,
}

/// Replaces ranges that are in order and do not overlap. Without any, nothing is copied.
pub(super) fn splice(payload: &mut Vec<u8>, parts: &[Part]) {
    if parts.is_empty() {
        return;
    }
    let more: usize = parts.iter().map(|part| part.bytes.len()).sum();
    let mut spliced = Vec::with_capacity(payload.len() + more);
    let mut done = 0;
    for Part { at, bytes } in parts {
        spliced.extend_from_slice(&payload[done..at.start]);
        spliced.extend_from_slice(bytes);
        done = at.end;
    }
    spliced.extend_from_slice(&payload[done..]);
    *payload = spliced;
}

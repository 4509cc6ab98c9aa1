//! Times in the format of the documents.

/// `2026-11-21T12:23:45.5Z` with all six digits of the fraction. The log leaves out trailing zeros.
pub(super) fn written(recorded_at: &str) -> String {
    let time = recorded_at.trim_end_matches('Z');
    let (second, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{second}.{fraction:0<6}Z")
}

/// The date.
pub(super) fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

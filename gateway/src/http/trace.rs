//! W3C Trace Context: the trace that a request belongs to.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `00-{trace id}-{parent id}-{flags}`.
const LENGTH: usize = 55;

/// A valid `traceparent`, as version 00.
///
/// It is stored and sent back unchanged: this server exports no spans, so it must not add a parent of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceParent(HeaderValue);

impl TraceParent {
    /// The trace in the headers. An invalid one counts as absent, as the specification allows.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { Self::parse(value) }
    }

    fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let known = bytes.get(..LENGTH)?;
        let is_hex =
            |range: std::ops::Range<usize>| known[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |range: std::ops::Range<usize>| known[range].iter().all(|byte| *byte == b'0');
        let has_dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let all_hex = is_hex(0..2) && is_hex(3..35) && is_hex(36..52) && is_hex(53..55);
        let version = &known[..2];
        let rest_fits = match bytes.get(LENGTH) {
            None => true,
            Some(next) => version != b"00" && *next == b'-',
        };
        if !has_dashes || !all_hex || !rest_fits || version == b"ff" || is_zero(3..35) || is_zero(36..52) {
            return None;
        }
        if version == b"00" {
            return Some(Self(value.clone()));
        }
        // Only these fields of a later version are known, so the trace continues as version 00.
        let text = std::str::from_utf8(&known[2..]).ok()?;
        HeaderValue::try_from(format!("00{text}")).ok().map(Self)
    }

    /// A new trace that begins with this request, and is not sampled.
    pub(super) fn begun_here(id: Uuid) -> Self {
        let mut text = *b"00-trace-trace-trace-trace-trace-tr-parent-parent-pa-00";
        id.as_simple().encode_lower(&mut text[3..35]);
        // The second half of a UUIDv4 contains its variant, so it is never zero.
        text.copy_within(19..35, 36);
        Self(HeaderValue::from_bytes(&text).expect("it is hexadecimal"))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parsed(value: &str) -> Option<String> {
        TraceParent::parse(&HeaderValue::from_str(value).unwrap()).map(|trace| trace.as_str().to_owned())
    }

    #[test]
    fn a_valid_trace_is_unchanged() {
        assert_eq!(parsed(VALID).as_deref(), Some(VALID));
    }

    #[test]
    fn of_a_later_version_the_known_fields_are_read() {
        let later = format!("cc{}-what-the-future-brings", &VALID[2..]);
        assert_eq!(parsed(&later).as_deref(), Some(VALID));
    }

    #[test]
    fn an_invalid_trace_counts_as_absent() {
        for invalid in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        ] {
            assert_eq!(parsed(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn two_traces_count_as_absent() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(VALID));
        assert!(TraceParent::from_headers(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(VALID));
        assert!(TraceParent::from_headers(&headers).is_none());
    }

    #[test]
    fn a_new_trace_is_valid() {
        let begun = TraceParent::begun_here(Uuid::new_v4());
        assert_eq!(parsed(begun.as_str()).as_deref(), Some(begun.as_str()));
    }
}

//! Whether a client wants events as a page or as a stream (RFC 9110, 12.5.1).

use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Tells caches that the response depends on `Accept`.
pub(in crate::http) const VARY_ACCEPT: (HeaderName, HeaderValue) = (VARY, HeaderValue::from_static("accept"));

/// Whether `Accept` names a stream, and prefers nothing to it. A client that accepts anything gets a page: it does not
/// expect a response without an end.
pub(in crate::http) fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> = values.flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
    let named =
        |name: &str| ranges.iter().find(|range| range.name.eq_ignore_ascii_case(name)).map(|range| range.quality);
    let stream = named("text/event-stream").unwrap_or(0.0);
    let page = named("application/json").or_else(|| named("application/*")).or_else(|| named("*/*")).unwrap_or(0.0);
    stream > 0.0 && stream >= page
}

/// A media range with its quality: how much the client prefers it.
struct Range<'h> {
    name: &'h str,
    quality: f32,
}

impl<'h> Range<'h> {
    /// `None` if the range cannot be parsed. Such a range is ignored.
    fn parse(text: &'h str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next()?;
        let quality = parts.find_map(|part| {
            let (parameter, value) = part.split_once('=')?;
            parameter.trim().eq_ignore_ascii_case("q").then_some(value.trim())
        });
        let quality = quality.map_or(Some(1.0), |quality| quality.parse().ok())?;
        (0.0..=1.0).contains(&quality).then_some(Self { name, quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_names_the_stream_gets_one() {
        for (accept, expected) in [
            (&["text/event-stream"] as &[&str], true),
            (&["Text/Event-Stream; charset=utf-8"], true),
            (&["application/json, text/event-stream"], true),
            (&["application/json", "text/event-stream"], true),
            (&["text/event-stream, */*;q=0.1"], true),
            (&["text/event-stream;q=0.4, */*;q=0.5, application/json;q=0.3"], true),
            (&["text/event-stream;q=0.5, application/json"], false),
            (&["text/event-stream;q=0.5, */*"], false),
            (&["text/event-stream;q=0, */*"], false),
            (&["text/event-stream;q=0"], false),
            (&["text/event-stream;q=much"], false),
            (&["text/event-stream;q=NaN"], false),
            (&["application/json"], false),
            (&["text/html, */*"], false),
            (&["text/*"], false),
            (&["*/*"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            accept.iter().for_each(|value| _ = headers.append(ACCEPT, HeaderValue::from_static(value)));
            assert_eq!(wants_stream(&headers), expected, "{accept:?}");
        }
    }
}

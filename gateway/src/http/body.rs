//! Request bodies: their media type, their size, and how long they may take.

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use super::problem::{self, Problem};

/// Reads the whole body. It must be JSON or empty, have at most `max` bytes, and be complete at the deadline.
pub(super) async fn read<B>(headers: &HeaderMap, body: B, max: u64, deadline: Instant) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    refuse_encoded(headers)?;
    // If a body is known not to be empty, its media type is checked before it is read.
    let media_type = MediaType::of(headers);
    if media_type == MediaType::Other || media_type == MediaType::Absent && body.size_hint().lower() > 0 {
        return Err(unsupported(headers));
    }
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    let collected = timeout_at(deadline, Limited::new(body, limit).collect()).await.map_err(|_| too_slow())?;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large(max)
        } else {
            Problem::new(&problem::INCOMPLETE_BODY, "the body ended before it was complete").because(error.to_string())
        }
    })?;
    let bytes = collected.to_bytes();
    if media_type == MediaType::Absent && !bytes.is_empty() {
        return Err(unsupported(headers));
    }
    Ok(bytes)
}

/// Refuses a request that announces a body of more than `max` bytes, before any of it is read.
pub(super) fn refuse_announced(headers: &HeaderMap, max: u64) -> Result<(), Problem> {
    // Hyper refuses a length that is not a number.
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.unwrap_or(0) > max { Err(too_large(max)) } else { Ok(()) }
}

pub(super) fn too_large(max: u64) -> Problem {
    Problem::new(&problem::BODY_TOO_LARGE, format!("the body has more than {max} bytes")).with("max_bytes", max)
}

fn too_slow() -> Problem {
    Problem::new(&problem::REQUEST_TIMEOUT, "the body was not complete at the command's deadline, nothing happened")
}

/// Refuses an encoded body: decoded, it could have any size.
pub(super) fn refuse_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let mut encodings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let Some(encoding) = encodings.find(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")) else {
        return Ok(());
    };
    let encoding = String::from_utf8_lossy(encoding);
    let detail = format!("the content encoding is {encoding:?}: send the body without an encoding");
    Err(Problem::new(&problem::UNSUPPORTED_ENCODING, detail).with("header", "Content-Encoding"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Json,
    Absent,
    Other,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Self::Absent };
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let is_json = essence.trim_ascii().eq_ignore_ascii_case(b"application/json");
        if is_json && values.next().is_none() { Self::Json } else { Self::Other }
    }
}

fn unsupported(headers: &HeaderMap) -> Problem {
    let detail = match headers.get(CONTENT_TYPE) {
        Some(_) if headers.get_all(CONTENT_TYPE).iter().count() > 1 => {
            "the header Content-Type occurs more than once: send it once, with application/json".to_owned()
        }
        Some(found) => format!("the content type is {found:?}: it must be application/json"),
        None => "the body has no content type: send Content-Type: application/json".to_owned(),
    };
    Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail)
}

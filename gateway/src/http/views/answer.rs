//! Responses of views: the position of the view, whether the client has the content already, and what caches may do.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Views;
use super::freshness::DORMOUSE_MIN_POSITION;
use crate::http::JSON;
use crate::http::budget::Share;
use crate::http::chunks;
use crate::http::command_headers::client_has;
use crate::http::outcome::DORMOUSE_POSITION;
use crate::http::problem::Problem;
use crate::http::token::Token;

/// Bytes of the hash in an entity tag. Two contents at one address do not share them by chance.
const TAG_BYTES: usize = 16;

/// The `Cache-Control` of responses that may be reused for `max_age`. With zero, caches may keep a response, but must
/// ask whether it is still current. What one caller may see must not be kept for others.
pub(super) fn cache_control(max_age: Duration, knows_callers: bool) -> HeaderValue {
    match (max_age.as_secs(), knows_callers) {
        (0, false) => HeaderValue::from_static("no-cache"),
        (0, true) => HeaderValue::from_static("private, no-cache"),
        (seconds, _) => {
            let who = if knows_callers { "private" } else { "public" };
            HeaderValue::try_from(format!("{who}, max-age={seconds}")).expect("it is visible ASCII")
        }
    }
}

/// The tag of a response whose body is exactly these bytes.
pub(super) fn strong_tag(body: &[u8]) -> HeaderValue {
    tag("", body)
}

/// The tag of a response whose content is these bytes; the rest of its body may differ.
pub(super) fn weak_tag(content: &[u8]) -> HeaderValue {
    tag("W/", content)
}

fn tag(prefix: &str, content: &[u8]) -> HeaderValue {
    let hash = &blake3::hash(content).to_hex()[..2 * TAG_BYTES];
    HeaderValue::try_from(format!("{prefix}\"{hash}\"")).expect("digits and quotes are visible ASCII")
}

impl Views {
    /// The response with this body; without content if the headers say that the client has it. Its memory is counted
    /// under `share` until it is written.
    pub(super) fn answer(
        &self,
        headers: &HeaderMap,
        body: Vec<u8>,
        tag: HeaderValue,
        at: Token,
        share: Option<Share>,
    ) -> Response {
        let mut response = Response::default();
        if client_has(headers, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            *response.body_mut() = chunks::whole(body.into(), share);
        }
        response.headers_mut().insert(ETAG, tag);
        self.with_headers(response, at)
    }

    /// The response that there is no such document, which caches may keep as well.
    pub(super) fn answer_missing(&self, problem: Problem, at: Token) -> Response {
        self.with_headers(problem.into_response(), at)
    }

    fn with_headers(&self, mut response: Response, at: Token) -> Response {
        let headers = response.headers_mut();
        headers.insert(DORMOUSE_POSITION, at.header());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        // A client that asks for a position must not get a cached response to a request without one.
        headers.insert(VARY, HeaderValue::from_static(DORMOUSE_MIN_POSITION));
        response
    }
}

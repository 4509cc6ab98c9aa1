//! Answers of views: how far the view was, whether the client has it already, and what caches may do with it.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Views;
use super::freshness::DORMOUSE_MIN_POSITION;
use crate::http::JSON;
use crate::http::budget::Share;
use crate::http::conditions::has_already;
use crate::http::outcome::DORMOUSE_POSITION;
use crate::http::pieces;
use crate::http::problem::Problem;
use crate::http::token::Token;

/// Bytes of the hash in an entity tag: no two answers at one address share it by chance.
const TAG_BYTES: usize = 16;

/// What caches may do with answers that hold for so long. With zero they may keep them, but must ask whether they still
/// hold.
pub(super) fn cache_control(max_age: Duration) -> HeaderValue {
    match max_age.as_secs() {
        0 => HeaderValue::from_static("no-cache"),
        seconds => HeaderValue::try_from(format!("public, max-age={seconds}")).expect("it is visible ASCII"),
    }
}

/// The tag of an answer that is these bytes, and nothing else.
pub(super) fn strong_tag(body: &[u8]) -> HeaderValue {
    tag("", body)
}

/// The tag of an answer that says the same as others with these bytes in it.
pub(super) fn weak_tag(content: &[u8]) -> HeaderValue {
    tag("W/", content)
}

fn tag(prefix: &str, content: &[u8]) -> HeaderValue {
    let hash = &blake3::hash(content).to_hex()[..2 * TAG_BYTES];
    HeaderValue::try_from(format!("{prefix}\"{hash}\"")).expect("digits and quotes are visible ASCII")
}

impl Views {
    /// What was found, unless the headers say that the client has it. It is held under `share` until it is written.
    pub(super) fn answer(
        &self,
        headers: &HeaderMap,
        body: Vec<u8>,
        tag: HeaderValue,
        at: Token,
        share: Option<Share>,
    ) -> Response {
        let mut response = Response::default();
        if has_already(headers, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            *response.body_mut() = pieces::whole(body.into(), share);
        }
        response.headers_mut().insert(ETAG, tag);
        self.tell(response, at)
    }

    /// That there is nothing, which caches may know as well.
    pub(super) fn nothing(&self, problem: Problem, at: Token) -> Response {
        self.tell(problem.into_response(), at)
    }

    fn tell(&self, mut response: Response, at: Token) -> Response {
        let headers = response.headers_mut();
        headers.insert(DORMOUSE_POSITION, at.header());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        // Whoever asks for a position must not get what was kept for somebody who did not.
        headers.insert(VARY, HeaderValue::from_static(DORMOUSE_MIN_POSITION));
        response
    }
}

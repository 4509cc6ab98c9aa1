//! What a route answers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use dormouse_engine::Outcome;
use serde::Serialize;

use crate::http::JSON;
use crate::http::outcome::{DORMOUSE_POSITION, IDEMPOTENCY_REPLAYED};
use crate::http::problem::{self, Problem};
use crate::http::token::Token;

/// What a route answers: a body, which is sent as JSON, and what the client should know besides.
#[derive(Debug)]
#[must_use = "an answer must be returned"]
pub struct RouteAnswer<R> {
    body: R,
    location: Option<String>,
    position: Option<Token>,
    repeated: bool,
}

impl<R> RouteAnswer<R> {
    /// An answer with this body.
    pub const fn new(body: R) -> Self {
        Self { body, location: None, position: None, repeated: false }
    }

    /// The address of what the request has created, for the header `Location`.
    pub fn at(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// The request carried out a command with this outcome. The headers `Dormouse-Position`, with which a client can
    /// read what it wrote, and `Idempotency-Replayed` follow from it. Of several outcomes, the last position counts.
    pub fn after<O>(mut self, outcome: &Outcome<O>) -> Self {
        let mark = outcome.mark.filter(|_| !outcome.events.is_empty());
        let position = outcome.position.map(|position| Token::new(position.0, mark));
        let number = |token: &Option<Token>| token.map(|token| token.number);
        if number(&position) > number(&self.position) {
            self.position = position;
        }
        self.repeated |= outcome.repeated;
        self
    }
}

impl<R: Serialize> RouteAnswer<R> {
    pub(super) fn encode(self) -> Result<EncodedAnswer, Problem> {
        let Self { body, location, position, repeated } = self;
        let failed = |reason: String| {
            Problem::new(&problem::INTERNAL, "the answer of the route cannot be written as JSON").because(reason)
        };
        let body = serde_json::to_vec(&body).map_err(|error| failed(error.to_string()))?;
        let location = location.map(HeaderValue::try_from).transpose().map_err(|error| failed(error.to_string()))?;
        Ok(EncodedAnswer { body, location, position, repeated })
    }
}

/// An answer without the type of its body.
pub(super) struct EncodedAnswer {
    body: Vec<u8>,
    location: Option<HeaderValue>,
    position: Option<Token>,
    repeated: bool,
}

impl EncodedAnswer {
    pub(super) fn into_response(self, status: StatusCode) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(location) = self.location {
            headers.insert(LOCATION, location);
        }
        if let Some(position) = self.position {
            headers.insert(DORMOUSE_POSITION, position.header());
        }
        if self.repeated {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

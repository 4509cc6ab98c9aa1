//! Problem documents in place of the bare responses that hyper sends to malformed requests before any handler runs.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::Response;
use uuid::Uuid;

use super::envelope::X_REQUEST_ID;
use super::problem::{self, PROBLEM_JSON, Problem};

/// The beginning of a response of hyper; its status follows.
const BEGIN: &[u8] = b"HTTP/1.1 ";

/// The end of a response of hyper, which has no body.
const END: &[u8] = b"\r\n\r\n";

/// When a request that found no place may come again.
const SOON: Duration = Duration::from_secs(1);

/// The whole response to send in place of hyper's own. `None` if these bytes are a response of the API, or a part of
/// one.
pub(crate) fn in_place_of(answer: &[u8]) -> Option<Vec<u8>> {
    let problem = match answer.strip_prefix(BEGIN)?.get(..3)? {
        b"400" => Problem::new(&problem::MALFORMED_REQUEST, "the head of the request cannot be read"),
        b"414" => Problem::new(&problem::TARGET_TOO_LONG, "the address of the request is too long"),
        b"431" => Problem::new(&problem::HEAD_TOO_LARGE, "the request has too many headers, or they are too large"),
        _ => return None,
    };
    // Every response of the API has an id.
    let id = X_REQUEST_ID;
    let is_id = |name: &[u8]| name == id.as_str().as_bytes();
    let is_ours = !answer.ends_with(END) || answer.windows(id.as_str().len()).any(is_id);
    if is_ours { None } else { Some(written(&problem)) }
}

/// The whole response to a request without encryption, where connections are encrypted.
pub(crate) fn of_plain_http() -> Vec<u8> {
    let detail = "this server answers encrypted requests only: use an address that begins with https://";
    written(&Problem::new(&problem::MALFORMED_REQUEST, detail))
}

/// The response to a request on an HTTP/2 connection, when all connections together have too many.
pub(crate) fn of_too_many_requests() -> Response {
    let id = Uuid::new_v4().to_string();
    let detail = "too many requests are in progress on HTTP/2 connections (gateway.max_connections)";
    let mut response =
        Problem::new(&problem::NODE_OVERLOADED, detail).retry_after(SOON).write(Response::default(), &id);
    response.headers_mut().extend(HeaderValue::from_str(&id).ok().map(|id| (X_REQUEST_ID, id)));
    response
}

fn written(problem: &Problem) -> Vec<u8> {
    let id = Uuid::new_v4().to_string();
    let (status, body) = (problem.problem_type().status, problem.body(&id));
    let media_type = PROBLEM_JSON;
    let media_type = media_type.to_str().unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
         {X_REQUEST_ID}: {id}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let better = String::from_utf8(in_place_of(bare).unwrap()).unwrap();
        let (head, body) = better.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("urn:dormouse:problem:head-too-large"), "{body}");

        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 4",
            b"{}",
        ] {
            assert_eq!(in_place_of(other), None);
        }
    }
}

//! The requests of hostile clients.

use dormouse_harness::post_bytes;

const DEPTH: usize = 100_000;
const HEADERS: usize = 10_000;
const BODY_BYTES: usize = 10_000_000;
const CHUNK_BYTES: usize = 50_000;

/// The complete head of a GET.
pub(crate) fn head_of(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// A command that is mostly brackets.
pub(crate) fn deep_json(path: &str) -> Vec<u8> {
    // In an unknown field, which is skipped. Skipping must not exhaust the stack.
    let deep = format!(r#"{{"file":"none","more":{}1{}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
    post_bytes(path, &deep)
}

/// A request that is mostly headers.
pub(crate) fn many_headers() -> Vec<u8> {
    let headers: String = (0..HEADERS).map(|number| format!("x-header-{number}: {number}\r\n")).collect();
    format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into_bytes()
}

/// A command that is mostly blanks, with its length announced or in chunks.
pub(crate) fn large_body(announced: bool) -> Vec<u8> {
    let path = "/v1/inventory/large/update-inventory";
    if announced {
        return post_bytes(path, &" ".repeat(BODY_BYTES));
    }
    let chunk = format!("{CHUNK_BYTES:x}\r\n{}\r\n", " ".repeat(CHUNK_BYTES));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    format!("{head}{}0\r\n\r\n", chunk.repeat(BODY_BYTES / CHUNK_BYTES)).into_bytes()
}

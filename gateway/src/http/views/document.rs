//! `GET /v1/views/{view}/{key}`: one document.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use dormouse_kernel::Position;
use dormouse_projections::Key;
use dormouse_projections::store::DocumentAt;
use serde_json::Value;
use tokio::time::Instant;

use super::answer::strong_tag;
use super::freshness::refuse_stale;
use super::own::Owner;
use crate::http::Api;
use crate::http::address::{Parameters, decoded, segments};
use crate::http::envelope::Arrival;
use crate::http::problem::{self, Problem};

/// Bytes around a document, besides its key.
const AROUND_BYTES: usize = 64;

pub(in crate::http) async fn document(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    Parameters::of(&request.uri, &[])?;
    let mut path = segments(&request.uri).skip(2);
    let mut segment = || path.next().unwrap_or_default();
    let view = api.views.find(segment())?;
    let key = key(segment())?;
    let owner = Owner::of(view.definition(), view.definition().query_one(), &arrival)?;
    let wanted = api.wait_until_fresh(view, &request).await?;

    let started = Instant::now();
    let DocumentAt { document, at } = view.reader.get(&key).await?;
    refuse_stale(at, wanted)?;
    let document = match document {
        // One that belongs to somebody else looks as if it did not exist.
        Some((document, _)) if owner.as_ref().is_some_and(|owner| !owner.has(&document)) => None,
        document => document,
    };
    let results = usize::from(document.is_some());
    api.views.record(&view.one, view.definition(), started, results, Some(request.uri.path()));
    Ok(match document {
        Some((document, position)) => {
            let mut body = Vec::with_capacity(AROUND_BYTES + key.as_str().len() + document.len());
            write(&mut body, &key, position, &document);
            let tag = strong_tag(&body);
            api.views.answer(&request.headers, body, tag, view.token(at), None)
        }
        None => {
            let detail = format!("the view {} has no document {key:?}", view.definition().name());
            api.views.answer_missing(
                Problem::new(&problem::DOCUMENT_NOT_FOUND, detail).with("position", at.0),
                view.token(at),
            )
        }
    })
}

/// Writes a document with its key and the position of the last event that changed it. The document is JSON already and
/// is copied.
pub(super) fn write(body: &mut Vec<u8>, key: &Key, position: Position, document: &str) {
    body.extend_from_slice(br#"{"key":"#);
    body.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
    body.extend_from_slice(format!(r#","position":{position},"document":"#).as_bytes());
    body.extend_from_slice(document.as_bytes());
    body.push(b'}');
}

/// Parses a path segment as the key of a document. `%2F` is a slash in the key.
///
/// URL libraries remove the segments `.` and `..` from an address, percent-encoded or not (WHATWG URL, 4.2). So a tilde
/// before such a key belongs to the address only: `~.` is the key `.`, and `~~.` is the key `~.`.
fn key(segment: &str) -> Result<Key, Problem> {
    let refused = |detail: String| Problem::new(&problem::INVALID_KEY, detail);
    let decoded = decoded(segment).map_err(|what| refused(format!("the key {what}")))?;
    let is_dotted = matches!(decoded.trim_start_matches('~'), "." | "..");
    let key = Key::from(decoded.strip_prefix('~').filter(|_| is_dotted).unwrap_or(&decoded));
    match key.problem() {
        Some(what) => Err(refused(what)),
        None => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn every_key_has_an_address_that_url_libraries_do_not_change() {
        for (segment, expected) in [
            ("~.", "."),
            ("~..", ".."),
            ("~~.", "~."),
            ("~~..", "~.."),
            ("%7E.", "."),
            ("~", "~"),
            ("~a", "~a"),
            ("~...", "~..."),
            ("a%2Fb", "a/b"),
        ] {
            assert_eq!(key(segment).map(|key| key.as_str().to_owned()).ok().as_deref(), Some(expected), "{segment}");
        }
    }
}

//! Response bodies that are written in chunks. A chunk is encoded when the connection has room for it, so that other
//! tasks run in between.

use std::convert::Infallible;
use std::iter::Empty;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream::unfold;
use tokio::task::yield_now;

use super::JSON;
use super::budget::Share;
use axum::http::header::CONTENT_TYPE;

/// The size of a chunk. A connection holds one chunk besides what is in its buffer.
pub(super) const CHUNK_BYTES: usize = 32 << 10;

/// A JSON response of these parts, one after the other. The memory of their sources is counted under `share`, until the
/// last part is written or the client has disconnected. A response of one chunk has a length; a longer one uses HTTP's
/// chunked encoding.
pub(super) async fn json<P>(parts: P, share: Option<Share>) -> Response
where
    P: Iterator<Item = Vec<u8>> + Send + 'static,
{
    let mut chunks = Chunks { parts: Some(parts), current: Bytes::new(), _share: share };
    let first = chunks.next().await.unwrap_or_default();
    let body = if chunks.have_ended() { Body::from(first) } else { Body::from_stream(chunks.stream(first)) };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A body that exists already, written in chunks. Its memory is counted under `share` until the last chunk is written.
pub(super) fn whole(body: Bytes, share: Option<Share>) -> Body {
    if body.len() <= CHUNK_BYTES {
        return Body::from(body);
    }
    Body::from_stream(Chunks { parts: None::<Empty<Vec<u8>>>, current: body, _share: share }.stream(Bytes::new()))
}

struct Chunks<P> {
    /// `None`: there are no more parts.
    parts: Option<P>,
    current: Bytes,
    _share: Option<Share>,
}

impl<P: Iterator<Item = Vec<u8>> + Send + 'static> Chunks<P> {
    async fn next(&mut self) -> Option<Bytes> {
        if self.current.is_empty() {
            let mut gathered = Vec::new();
            while gathered.len() < CHUNK_BYTES
                && let Some(parts) = &mut self.parts
            {
                match parts.next() {
                    Some(part) if gathered.is_empty() => gathered = part,
                    Some(part) => gathered.extend_from_slice(&part),
                    None => self.parts = None,
                }
            }
            self.current = gathered.into();
            // Encoding takes time, so other tasks run before the next chunk.
            yield_now().await;
        }
        let chunk = self.current.split_to(self.current.len().min(CHUNK_BYTES));
        (!chunk.is_empty()).then_some(chunk)
    }

    fn have_ended(&self) -> bool {
        self.parts.is_none() && self.current.is_empty()
    }

    fn stream(self, first: Bytes) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
        unfold((self, Some(first)), |(mut chunks, first)| async move {
            let chunk = match first {
                Some(first) if !first.is_empty() => first,
                _ => chunks.next().await?,
            };
            Some((Ok(chunk), (chunks, None)))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_LENGTH;
    use http_body_util::BodyExt;

    use super::*;

    async fn sent(parts: Vec<Vec<u8>>) -> (Option<u64>, Vec<usize>, Vec<u8>) {
        let response = json(parts.into_iter(), None).await;
        assert!(response.headers().get(CONTENT_LENGTH).is_none(), "hyper works it out");
        let mut body = response.into_body();
        let length = axum::body::HttpBody::size_hint(&body).exact();
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            sizes.push(data.len());
            all.extend_from_slice(&data);
        }
        (length, sizes, all)
    }

    #[tokio::test]
    async fn nothing_is_lost_between_chunks_and_no_chunk_is_large() {
        let sizes = [1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, 10, 10 * CHUNK_BYTES + 7, 3];
        let parts: Vec<Vec<u8>> = sizes.into_iter().zip(0..).map(|(size, byte)| vec![byte; size]).collect();
        let (length, chunks, all) = sent(parts.clone()).await;
        assert!(length.is_none() && all == parts.concat());
        assert!(chunks.iter().all(|chunk| (1..=CHUNK_BYTES).contains(chunk)), "{chunks:?}");
    }

    #[tokio::test]
    async fn a_short_body_has_a_length() {
        let (length, _, all) = sent(vec![b"{\"a\":".to_vec(), b"1}".to_vec()]).await;
        assert_eq!((length, all.as_slice()), (Some(7), &b"{\"a\":1}"[..]));
    }
}

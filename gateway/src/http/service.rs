//! The HTTP service: from a request to its response.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request};
use axum::response::Response;
use axum::{BoxError, Router};
use tokio::time::timeout;
use tower::ServiceExt;

use super::envelope::{self, Arrival};
use super::execute::{CommandAddress, execute};
use super::problem::{self, Problem};
use super::stream::Streams;
use super::unread_body::TrackedBody;
use super::{Api, body, bulk, origin};
use crate::server::UnreadBody;

/// The whole API, ready to answer requests.
pub(crate) struct Service {
    pub(super) api: Arc<Api>,
    pub(super) router: Router,
    pub(super) request_timeout: Duration,
}

impl Service {
    /// The streams that it serves. The caller must end them at a shutdown.
    pub(crate) fn streams(&self) -> Streams {
        self.api.streams.clone()
    }

    /// Answers a request. Every error becomes a response.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let body = TrackedBody::new(body);
        let (progress, waits) = (body.progress(), head.headers.contains_key(EXPECT));
        let mut body = Some(body);
        let slot = &mut body;
        let mut response = envelope::answer(head, move |arrival, head| self.handle(arrival, head, slot)).await;
        let is_read = progress.is_complete()
            || match body {
                Some(body) => body.discard(waits).await,
                // A handler has taken the body. A handler that has not failed reads on while it answers.
                None => response.status().as_u16() < 400,
            };
        if !is_read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response.extensions_mut().insert(UnreadBody);
        }
        response
    }

    /// Commands are passed straight to their handler: the router's boxes and tables of parameters would take a tenth of
    /// the time of a command. All other requests are routed.
    async fn handle<B>(
        &self,
        arrival: Arrival,
        mut request: Parts,
        body: &mut Option<TrackedBody<B>>,
    ) -> Result<Response, Problem>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        origin::check(&request, &self.api.hosts)?;
        if !bulk::is_bulk(&request) {
            body::refuse_announced(&request.headers, self.api.max_body)?;
        }
        if let (Some(address), Some(body)) = (CommandAddress::of(&request), body.as_mut()) {
            return execute(&self.api, &arrival, address, &request, body).await;
        }
        request.extensions.insert(arrival);
        // No handler reads the body of a GET or HEAD request.
        let only_asks = matches!(request.method, Method::GET | Method::HEAD);
        let body = if only_asks { None } else { body.take() };
        let request = Request::from_parts(request, body.map_or_else(Body::empty, Body::new));
        match timeout(self.request_timeout, self.router.clone().oneshot(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let limit = self.request_timeout;
                Err(Problem::new(
                    &problem::TIMEOUT,
                    format!("the request took longer than {limit:?} (gateway.request_timeout)"),
                ))
            }
        }
    }
}

//! From a request to its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use axum::response::Response;
use axum::{BoxError, Router};
use tokio::time::timeout;
use tower::ServiceExt;

use super::Api;
use super::envelope::{self, Arrival};
use super::execute::{CommandAddress, execute};
use super::problem::{self, Problem};
use super::stream::Streams;

/// The whole API, ready to answer.
pub(crate) struct Site {
    pub(super) api: Arc<Api>,
    pub(super) router: Router,
    pub(super) request_timeout: Duration,
}

impl Site {
    /// The streams it serves, which somebody has to end.
    pub(crate) fn streams(&self) -> Streams {
        self.api.streams.clone()
    }

    /// Answers a request, whatever happens.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        envelope::answer(request, self.api.max_body, |arrival, request| self.handle(arrival, request)).await
    }

    /// Commands go straight to their handler: what the router does for a request, in boxes and tables of parameters,
    /// takes a tenth of what a command takes. Everything else is routed.
    async fn handle<B>(&self, arrival: Arrival, request: Request<B>) -> Result<Response, Problem>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        if let Some(address) = CommandAddress::of(&parts) {
            return execute(&self.api, &arrival, address, &parts, body).await;
        }
        parts.extensions.insert(arrival);
        let routed = self.router.clone().oneshot(Request::from_parts(parts, Body::new(body)));
        match timeout(self.request_timeout, routed).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let limit = self.request_timeout;
                Err(Problem::new(&problem::TIMEOUT, format!("the request took longer than {limit:?}")))
            }
        }
    }
}

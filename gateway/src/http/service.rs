//! The HTTP service: from a request to its response.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, EXPECT, FORWARDED};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use axum::response::Response;
use axum::{BoxError, Router};
use dormouse_config::{ForwardedHeader, Gateway};
use dormouse_limits::{Standing, client_address};
use metrics::counter;
use tokio::time::timeout;
use tower::{Layer, ServiceExt, service_fn};

use super::envelope::{self, Arrival};
use super::execute::{CommandAddress, execute};
use super::operators::{self, Audience};
use super::problem::{self, Problem};
use super::stream::Streams;
use super::unread_body::{RequestBody, TrackedBody};
use super::{Api, body, bulk, origin};
use crate::metric;
use crate::server::{Peer, UnreadBody};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

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

    /// Answers a request of a client on another machine.
    #[cfg(test)]
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.answer_from(&Peer::from(IpAddr::from([192, 0, 2, 1])), Audience::All, request).await
    }

    /// Answers a request that came over a connection from `peer` to an address for `audience`. Every error becomes a
    /// response.
    pub(crate) async fn answer_from<B>(&self, peer: &Peer, audience: Audience, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(cors) = &self.api.browsers.cors else { return self.respond(peer, audience, request).await };
        let respond = service_fn(async |request| Ok(self.respond(peer, audience, request).await));
        // Boxed, because every connection keeps room for the largest future of a request.
        let responded = Box::pin(cors.layer(respond).oneshot(request)).await;
        responded.unwrap_or_else(|never: Infallible| match never {})
    }

    async fn respond<B>(&self, peer: &Peer, audience: Audience, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let client = self.client_of(peer.address, &head.headers);
        let body = TrackedBody::new(body);
        let (progress, waits) = (body.progress(), head.headers.contains_key(EXPECT));
        let mut body = RequestBody::Kept(body);
        let slot = &mut body;
        let mut standing = None;
        let counted = &mut standing;
        let mut response = envelope::answer(head, client, move |arrival, head| {
            self.handle(arrival, peer, audience, head, slot, counted)
        })
        .await;
        if let Some(standing) = standing {
            self.api.rates.write(standing, response.headers_mut());
        }
        self.api.browsers.write(response.headers_mut());
        let is_read = progress.is_complete()
            || match body.take_back() {
                Some(body) => body.discard(waits).await,
                // A handler that has not failed reads on while it answers.
                None => response.status().as_u16() < 400,
            };
        if !is_read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response.extensions_mut().insert(UnreadBody);
        }
        response
    }

    /// The address of the client: that of the connection, or the one that trusted proxies name.
    fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let Gateway { trusted_proxies, forwarded_header, .. } = &self.api.gateway;
        if trusted_proxies.is_empty() {
            return peer.to_canonical();
        }
        let name = match forwarded_header {
            ForwardedHeader::XForwardedFor => &X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => &FORWARDED,
        };
        // A value that is not text has no address.
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        client_address(peer, *forwarded_header, values, trusted_proxies)
    }

    /// Commands are passed straight to their handler: the router's boxes and tables of parameters would take a tenth of
    /// the time of a command. All other requests are routed.
    async fn handle<B>(
        &self,
        mut arrival: Arrival,
        peer: &Peer,
        audience: Audience,
        mut request: Parts,
        body: &mut RequestBody<B>,
        standing: &mut Option<Standing>,
    ) -> Result<Response, Problem>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Api { access, gateway, admin, rates, .. } = &*self.api;
        origin::check(&request, &gateway.hosts, &gateway.cors_origins)?;
        let client = arrival.client;
        let admission = async {
            operators::check(admin, audience, client, request.uri.path())?;
            access.admit(&request, peer, || rates.count_attempt(client)).await
        };
        let admission = admission.await;
        self.api.audit.note_admission(&request, &arrival, &admission);
        arrival.admitted = admission.map_err(|refused| refused.problem).inspect_err(|refused| {
            counter!(metric::CALLERS_REFUSED, "reason" => refused.problem_type().slug).increment(1);
        })?;
        *standing = rates.count(&request, &arrival).inspect_err(|refused| *standing = refused.known_standing())?;
        if !bulk::is_bulk(&request) {
            body::refuse_announced(&request.headers, self.api.max_body)?;
        }
        if let (Some(address), Some(body)) = (CommandAddress::of(&request), body.kept()) {
            let outcome = execute(&self.api, &arrival, address, &request, body).await;
            self.api.audit.note_command(&request, &arrival, &outcome);
            return outcome;
        }
        let audited = self.api.audit.begin(&mut request, &arrival, &self.api.access).await?;
        request.extensions.insert(arrival);
        // No handler reads the body of a GET or HEAD request.
        let only_asks = matches!(request.method, Method::GET | Method::HEAD);
        let request = Request::from_parts(request, if only_asks { Body::empty() } else { body.lend() });
        let outcome = match timeout(self.request_timeout, self.router.clone().oneshot(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let limit = self.request_timeout;
                Err(Problem::new(
                    &problem::TIMEOUT,
                    format!("the request took longer than {limit:?} (gateway.request_timeout)"),
                ))
            }
        };
        let change = audited.and_then(|audited| audited.end(&outcome));
        if let Some(change) = change {
            change.record().await;
        }
        outcome
    }
}

//! What browsers are told: which pages of other origins may use the server (CORS), and how to treat its answers.

use std::time::Duration;

use axum::http::header::{STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method};
use dormouse_config::{Gateway, WebOrigin};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

/// How long a browser remembers what it was told of an address. Chrome remembers it for two hours at most.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// What browsers are told.
pub(super) struct Browsers {
    /// `None`: pages of other origins may do nothing.
    pub(super) cors: Option<CorsLayer>,
    /// `Strict-Transport-Security` (RFC 6797).
    hsts: Option<HeaderValue>,
}

impl Browsers {
    pub(super) fn from_config(gateway: &Gateway) -> Self {
        // Over a connection that is not encrypted, browsers must ignore the header (RFC 6797, 8.1).
        let hsts = (gateway.tls.is_on() && !gateway.tls.hsts.is_zero())
            .then(|| HeaderValue::from_str(&format!("max-age={}", gateway.tls.hsts.as_secs())).ok());
        Self { cors: cors(&gateway.cors_origins), hsts: hsts.flatten() }
    }

    /// Adds the headers that every response has.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(hsts) = &self.hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

/// A page of a named origin may send every header and read every header. It proves who its user is by a token, which
/// no browser sends by itself: cookies and certificates stay out.
fn cors(origins: &[WebOrigin]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok()).collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(ExposeHeaders::any())
            .max_age(PREFLIGHT_MAX_AGE)
    })
}

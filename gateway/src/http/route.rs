//! Routes: addresses of an application's own, beside those of its aggregates and views.
//!
//! A route has the same limits, headers and problems as a command: the size and the time of its body, the checks of the
//! host and the origin, the request's id, its trace, its deadline, its `Idempotency-Key` and its caller.

mod address;
mod answer;
mod error;
mod request;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use dormouse_engine::{CommandError, CommandOptions, Expected};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

pub(crate) use self::address::check_routes;
pub(super) use self::address::{RouteAddress, fits};
use self::answer::EncodedAnswer;
pub use self::answer::RouteAnswer;
pub use self::error::RouteError;
use self::request::RouteParts;
pub use self::request::RouteRequest;
use super::address::Parameters;
use super::command_headers::{self, invalid};
use super::envelope::Arrival;
use super::problem::Problem;
use super::{Api, body, content, decode};

type Answered = Pin<Box<dyn Future<Output = Result<EncodedAnswer, Problem>> + Send>>;

/// An address of an application's own, and the function that answers requests to it.
///
/// ```
/// # use dormouse::{Route, RouteAnswer, RouteError, RouteRequest};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// /// A greeting.
/// #[derive(Deserialize, JsonSchema)]
/// struct Greeting {
///     words: String,
/// }
///
/// async fn greet(request: RouteRequest<Greeting>) -> Result<RouteAnswer<String>, RouteError> {
///     let (caller, name) = (request.require_caller()?, request.path("name"));
///     Ok(RouteAnswer::new(format!("{} to {name} from {caller}", request.body().words)))
/// }
///
/// let route = Route::post("/greetings/{name}", greet).summary("Greets somebody");
/// # let _ = route;
/// ```
///
/// The body is decoded as that of a command. The description of the API (`/openapi.json`) shows the route. Its address
/// must not begin with a part that the server uses itself (`v1`, `health`, `admin`, …).
#[derive(Clone)]
#[must_use = "a route does nothing until it is added to an application"]
pub struct Route {
    pub(super) method: RouteMethod,
    pub(super) address: RouteAddress,
    pub(super) summary: &'static str,
    pub(super) creates: bool,
    permission: Option<&'static str>,
    /// The schemas of the body and of the answer.
    pub(super) describe: fn(&mut SchemaGenerator) -> (Option<Value>, Value),
    handler: Arc<dyn Fn(RouteParts, Bytes) -> Answered + Send + Sync>,
}

/// The methods that a route may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteMethod {
    Get,
    Post,
}

impl Route {
    /// A route that reads: `GET`. It has no body. `path` may have named parts, such as `/lessons/{lesson}`.
    pub fn get<R, H, F>(path: &'static str, handler: H) -> Self
    where
        R: Serialize + JsonSchema,
        H: Fn(RouteRequest) -> F + Send + Sync + 'static,
        F: Future<Output = Result<RouteAnswer<R>, RouteError>> + Send + 'static,
    {
        let handler = move |parts: RouteParts, _: Bytes| -> Answered {
            let answered = handler(RouteRequest::new(parts, ()));
            Box::pin(async move { answered.await?.encode() })
        };
        let describe = |generator: &mut SchemaGenerator| (None, generator.subschema_for::<R>().to_value());
        Self::new(RouteMethod::Get, path, Arc::new(handler), describe)
    }

    /// A route that may change something: `POST`. Its body is decoded as `B`, as the body of a command would be.
    pub fn post<B, R, H, F>(path: &'static str, handler: H) -> Self
    where
        B: DeserializeOwned + JsonSchema,
        R: Serialize + JsonSchema,
        H: Fn(RouteRequest<B>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<RouteAnswer<R>, RouteError>> + Send + 'static,
    {
        let handler = move |parts: RouteParts, body: Bytes| -> Answered {
            match decode::command::<Decoded<B>>("Body", false, &body) {
                Ok(Decoded::Body(body)) => {
                    let answered = handler(RouteRequest::new(parts, body));
                    Box::pin(async move { answered.await?.encode() })
                }
                Err(problem) => Box::pin(std::future::ready(Err(problem))),
            }
        };
        let describe = |generator: &mut SchemaGenerator| {
            (Some(generator.subschema_for::<B>().to_value()), generator.subschema_for::<R>().to_value())
        };
        Self::new(RouteMethod::Post, path, Arc::new(handler), describe)
    }

    fn new(
        method: RouteMethod,
        path: &'static str,
        handler: Arc<dyn Fn(RouteParts, Bytes) -> Answered + Send + Sync>,
        describe: fn(&mut SchemaGenerator) -> (Option<Value>, Value),
    ) -> Self {
        Self {
            method,
            address: RouteAddress::new(path),
            summary: "",
            creates: false,
            permission: None,
            describe,
            handler,
        }
    }

    /// What it does, in a few words, for the description of the API.
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// It creates something: it answers 201, not 200. The answer should name the [place](RouteAnswer::at) of what it
    /// created.
    pub fn creates(mut self) -> Self {
        self.creates = true;
        self
    }

    /// The permission that its callers need, once callers are authenticated: that of a query (`permissions.queries`) for
    /// `GET`, and of a command (`permissions.commands`) for `POST`. Without one, nobody may use the route then.
    pub fn permission(mut self, name: &'static str) -> Self {
        self.permission = Some(name);
        self
    }

    pub(super) fn permission_name(&self) -> Option<&'static str> {
        self.permission
    }

    pub(super) fn is_get(&self) -> bool {
        self.method == RouteMethod::Get
    }

    /// The status of a success.
    pub(super) fn status(&self) -> StatusCode {
        if self.creates { StatusCode::CREATED } else { StatusCode::OK }
    }

    /// Adds the route to a router.
    pub(super) fn add_to(self, router: Router<Arc<Api>>) -> Router<Arc<Api>> {
        let path = self.address.path();
        router.route(path, self.serving())
    }

    fn serving(self) -> MethodRouter<Arc<Api>> {
        let method = match self.method {
            RouteMethod::Get => MethodFilter::GET,
            RouteMethod::Post => MethodFilter::POST,
        };
        let route = Arc::new(self);
        on(method, move |State(api): State<Arc<Api>>, Extension(arrival): Extension<Arrival>, request: Request| {
            let route = Arc::clone(&route);
            async move { route.answer(&api, &arrival, request).await }
        })
    }

    async fn answer(&self, api: &Api, arrival: &Arrival, request: Request) -> Result<Response, Problem> {
        let (request, body) = request.into_parts();
        Parameters::of(&request.uri, &[])?;
        let path = self.address.named(&request.uri)?;
        let mut options = options(&request.headers, arrival, api)?;
        let deadline = options.deadline.unwrap_or(arrival.at + api.command_timeout);
        let body = self.read(&request.headers, body, api.max_body, deadline).await?;
        if deadline <= Instant::now() {
            return Err(CommandError::<std::convert::Infallible>::Expired.into());
        }
        if options.key.is_some() {
            options.content = content::fingerprint(&body);
        }
        let parts = RouteParts { path, engine: api.engine.clone(), options };
        Ok((self.handler)(parts, body).await?.into_response(self.status()))
    }

    /// No client sends a body with `GET`.
    async fn read(&self, headers: &HeaderMap, body: Body, max: u64, deadline: Instant) -> Result<Bytes, Problem> {
        match self.method {
            RouteMethod::Get => Ok(Bytes::new()),
            RouteMethod::Post => body::read(headers, body, max, deadline).await,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Route").field(&self.method).field(&self.address.path()).finish()
    }
}

/// A body as the only variant of an enum, because commands are decoded as variants.
#[derive(Deserialize)]
enum Decoded<B> {
    Body(B),
}

/// The options of the commands that the route sends.
fn options(headers: &HeaderMap, arrival: &Arrival, api: &Api) -> Result<CommandOptions, Problem> {
    // A route may send several commands, or none. So it cannot promise what these headers ask for.
    for (name, shown) in [(IF_MATCH, "If-Match"), (IF_NONE_MATCH, "If-None-Match")] {
        if headers.contains_key(name) {
            return Err(invalid(shown, "this address takes no conditions".to_owned()));
        }
    }
    let options = command_headers::options(headers, arrival, api.command_timeout)?;
    Ok(CommandOptions { expected: Expected::Any, ..options })
}

//! The HTTP API: commands, states and histories of aggregates, views, health, metrics, and its own description.
//!
//! An [`Api`] is what the routes need. Each aggregate type stands behind a [`Resource`](resource::Resource), which is
//! where its Rust types end; everything around it (addresses, headers, bodies, problems) is the same for all types.
//! A request comes to the [`Site`]. What is in `envelope` goes around every one of them: it gives a request its id, and
//! writes its problem if it has one. Commands then go straight to `execute`, everything else through axum's router.
//! `problem` lists every kind of error, `error` is the one table from the errors of engine and projections to them.

mod address;
mod admin;
mod body;
mod budget;
mod bulk;
mod commands;
mod conditions;
mod content;
mod decode;
mod docs;
mod envelope;
mod error;
mod event;
mod execute;
mod health;
mod history;
mod log;
mod messagepack;
mod metrics;
mod openapi;
mod origin;
mod outcome;
mod pieces;
mod problem;
pub(crate) mod refusal;
mod resource;
mod schema;
mod site;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod token;
mod trace;
mod unread;
mod views;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use dormouse_config::{Config, HostName};
use dormouse_engine::Engine;
use dormouse_journal::CatchUps;
use dormouse_kernel::{Aggregate, kebab_case, variant_names};
use dormouse_projections::{Projection, Projections};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;

use budget::Budget;
use commands::{Commands, RESERVED_SEGMENTS, unknown};
pub(crate) use event::event_json;
use openapi::OpenApi;
use problem::Problem;
use resource::{Resource, Typed};
use schema::VariantSchemas;
pub(crate) use site::Site;
pub(crate) use stream::Streams;
use views::{Shape, Views};

/// Aggregate types cannot have these names: `/v1/{name}/…` leads elsewhere, or will.
pub(crate) const RESERVED_TYPES: [&str; 4] = ["commands", "events", "operations", "views"];

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the routes need.
pub(crate) struct Api {
    engine: Engine,
    metrics: PrometheusHandle,
    resources: BTreeMap<&'static str, Box<dyn Resource>>,
    streams: Streams,
    views: Views,
    /// `None`: the application has none.
    projections: Option<Projections>,
    config: admin::InUse,
    openapi: Bytes,
    command_timeout: Duration,
    hosts: Vec<HostName>,
    max_body: u64,
    page_size: u32,
    page_size_max: u32,
    /// Most bytes of events on a page.
    page_bytes: usize,
    /// What pages may hold together.
    pages: Budget,
    /// The turns in which streams and pages read the log.
    catch_ups: CatchUps,
    bulk: bulk::Limits,
}

/// Collects the aggregate types and views of an [`Api`].
pub(crate) struct ApiBuilder {
    config: Config,
    resources: BTreeMap<&'static str, Box<dyn Resource>>,
    shapes: BTreeMap<&'static str, Shape>,
    openapi: OpenApi,
}

/// Why an aggregate type cannot be reached by URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unroutable {
    /// Its name is taken.
    #[error("an aggregate cannot be called {0:?}: the HTTP API reserves that name")]
    ReservedType(&'static str),
    /// The name of a command is taken.
    #[error("aggregate {aggregate:?} cannot have the command {command}: the HTTP API reserves /{segment}")]
    ReservedCommand {
        /// The aggregate type.
        aggregate: &'static str,
        /// The command's variant.
        command: &'static str,
        /// What it would be in addresses.
        segment: String,
    },
    /// Two commands would have the same address.
    #[error("aggregate {aggregate:?}: the commands {one} and {other} are both /{segment} in addresses")]
    SameSegment {
        /// The aggregate type.
        aggregate: &'static str,
        /// A command's variant.
        one: &'static str,
        /// Another one's.
        other: &'static str,
        /// What both would be in addresses.
        segment: String,
    },
}

/// Whether an aggregate type and all its commands can be reached by URL.
///
/// # Errors
/// The first name that is in the way.
pub(crate) fn check<A: Aggregate>() -> Result<(), Unroutable> {
    if RESERVED_TYPES.contains(&A::TYPE) {
        return Err(Unroutable::ReservedType(A::TYPE));
    }
    let mut seen: HashMap<String, &'static str> = HashMap::new();
    // What is no enum, the engine refuses.
    for command in variant_names::<A::Command>().unwrap_or_default() {
        let segment = kebab_case(command);
        if RESERVED_SEGMENTS.contains(&segment.as_str()) {
            return Err(Unroutable::ReservedCommand { aggregate: A::TYPE, command, segment });
        }
        if let Some(one) = seen.insert(segment.clone(), command) {
            return Err(Unroutable::SameSegment { aggregate: A::TYPE, one, other: command, segment });
        }
    }
    Ok(())
}

impl Api {
    /// The API of the application `name`.
    pub(crate) fn builder(name: &str, config: &Config) -> ApiBuilder {
        let (resources, shapes) = (BTreeMap::new(), BTreeMap::new());
        ApiBuilder { config: config.clone(), resources, shapes, openapi: OpenApi::new(name) }
    }

    /// The aggregates that a path segment names.
    fn resource(&self, segment: &str) -> Result<&dyn Resource, Problem> {
        self.resources.get(segment).map(AsRef::as_ref).ok_or_else(|| {
            let what = format!("there is no aggregate type {segment:?}");
            unknown(&problem::UNKNOWN_AGGREGATE_TYPE, &what, segment, self.resources.keys().copied())
        })
    }
}

impl ApiBuilder {
    /// Adds the routes of one aggregate type, which `engine` runs and [`check`] has let pass.
    pub(crate) fn aggregate<A: Aggregate>(mut self, engine: &Engine) -> Self {
        let schemas = VariantSchemas::of::<A::Command>(self.openapi.generator());
        let commands = Commands::of::<A>(&schemas);
        self.openapi.aggregate::<A>(&schemas);
        // One that the engine does not run is not there: 404.
        if let Some(aggregates) = engine.aggregates::<A>() {
            self.resources.insert(A::TYPE, Box::new(Typed { aggregates, commands }));
        }
        self
    }

    /// Adds the routes of the view of a projection.
    pub(crate) fn projection<P: Projection>(mut self) -> Self {
        self.openapi.projection::<P>();
        self.shapes.insert(P::NAME, Shape::of::<P::Document>());
        self
    }

    /// All routes. Views are those of `projections`.
    pub(crate) fn site(self, engine: Engine, projections: Option<Projections>, metrics: PrometheusHandle) -> Site {
        let views = Views::new(&self.config, projections.as_ref(), self.shapes);
        metrics::describe();
        let config = admin::InUse::new(self.config.clone());
        let gateway = &self.config.gateway;
        let api = Arc::new(Api {
            engine,
            metrics,
            resources: self.resources,
            streams: Streams::from_config(&self.config),
            pages: Budget::new("gateway.read_budget", gateway.read_budget.as_u64(), page_share(&self.config)),
            bulk: bulk::Limits::from_config(&self.config),
            catch_ups: CatchUps::new(gateway.catch_up_reads),
            page_bytes: usize::try_from(gateway.page_bytes.as_u64()).unwrap_or(usize::MAX),
            views,
            projections,
            config,
            openapi: self.openapi.document(),
            command_timeout: self.config.commands.timeout,
            hosts: gateway.hosts.clone(),
            max_body: gateway.max_body.as_u64(),
            page_size: gateway.page_size.get(),
            page_size_max: gateway.page_size_max.get(),
        });
        let router = Router::new()
            .route("/v1/{type}/{id}/{command}", any(only_posted))
            .route("/v1/{type}/{id}", get(state::state))
            .route("/v1/{type}/{id}/events", get(history::history))
            .route("/v1/events", get(log::log))
            .route(bulk::PATH, post(bulk::commands))
            .route("/v1/commands/{type}/{id}/{key}", get(outcome::by_key))
            .route("/v1/views", get(views::all))
            .route("/v1/views/{view}", get(views::list::list))
            .route("/v1/views/{view}/{key}", get(views::document::document))
            .route("/health", get(health::all))
            .route("/health/live", get(health::live))
            .route("/health/ready", get(health::ready))
            .route("/health/{component}", get(health::component))
            .route("/metrics", get(metrics::metrics))
            .route("/openapi.json", get(openapi::document))
            .route("/docs", get(docs::page))
            .merge(admin::routes())
            .fallback(unknown_route)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&api));
        Site { api, router, request_timeout: gateway.request_timeout }
    }
}

/// What a page holds, in bytes: its events, of which one may be larger than the page, and what is read at once to find them.
fn page_share(config: &Config) -> u64 {
    2 * config.gateway.page_bytes.as_u64().max(config.journal.event_size_max.as_u64())
}

async fn unknown_route() -> Problem {
    Problem::new(&problem::UNKNOWN_ROUTE, "see /docs for what there is")
}

/// Commands do not come this way: whatever is sent to the address of one, and was not posted, is none.
async fn only_posted() -> impl IntoResponse {
    ([(ALLOW, HeaderValue::from_static("POST"))], method_not_allowed().await)
}

async fn method_not_allowed() -> Problem {
    Problem::new(&problem::METHOD_NOT_ALLOWED, "the header Allow lists the methods that this address takes")
}

fn json(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

//! The HTTP API: commands, states and histories of aggregates, views, health, metrics, and its own description.
//!
//! An [`Api`] has everything that the routes need. Each aggregate type is behind a [`Resource`](resource::Resource),
//! where its Rust types end. Addresses, headers, bodies and problems are handled in the same way for all types. A
//! request first reaches the [`Service`]. The steps in `envelope` surround every request: they give it an id, and write
//! its problem if there is one. Commands are then passed straight to `execute`, everything else to axum's router.
//! `problem` lists the problem types. `error` is the one table from the errors of engine and projections to problems.

mod address;
mod admin;
mod body;
mod budget;
mod bulk;
mod chunks;
mod command_headers;
mod commands;
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
mod problem;
pub(crate) mod refusal;
mod resource;
mod schema;
mod service;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod token;
mod trace;
mod unread_body;
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

use crate::admin::Catalogue;
use budget::Budget;
use commands::{Commands, RESERVED_SEGMENTS, unknown};
pub(crate) use event::event_json;
use openapi::OpenApi;
use problem::Problem;
use resource::{Resource, TypedResource};
use schema::VariantSchemas;
pub(crate) use service::Service;
pub(crate) use stream::Streams;
use views::{Shape, Views};

/// Names that no aggregate type may have: `/v1/{name}/…` is the address of another resource, or is reserved for one.
pub(crate) const RESERVED_TYPES: [&str; 4] = ["commands", "events", "operations", "views"];

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Everything that the routes need.
pub(crate) struct Api {
    engine: Engine,
    metrics: PrometheusHandle,
    resources: BTreeMap<&'static str, Box<dyn Resource>>,
    streams: Streams,
    views: Views,
    /// `None`: the application has no projections.
    projections: Option<Projections>,
    config: admin::LiveConfig,
    catalogue: Catalogue,
    openapi: Bytes,
    command_timeout: Duration,
    hosts: Vec<HostName>,
    max_body: u64,
    page_size: u32,
    page_size_max: u32,
    /// The most bytes of events on a page.
    page_bytes: usize,
    /// The memory of all pages together.
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
    catalogue: admin::CatalogueBuilder,
    openapi: OpenApi,
}

/// Why an aggregate type cannot be reached by URLs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unroutable {
    /// The API uses its name.
    #[error("an aggregate cannot have the name {0:?}: the HTTP API reserves it, choose another name")]
    ReservedType(&'static str),
    /// The API uses the address of one of its commands.
    #[error("aggregate {aggregate:?} cannot have the command {command}: the HTTP API reserves /{segment}, rename it")]
    ReservedCommand {
        /// The aggregate type.
        aggregate: &'static str,
        /// The command's variant.
        command: &'static str,
        /// The command's segment in addresses.
        segment: String,
    },
    /// Two commands would have the same address.
    #[error(
        "aggregate {aggregate:?}: the commands {one} and {other} would both have the address /{segment}, rename one"
    )]
    SameSegment {
        /// The aggregate type.
        aggregate: &'static str,
        /// The variant of one command.
        one: &'static str,
        /// The variant of the other command.
        other: &'static str,
        /// The segment of both in addresses.
        segment: String,
    },
}

/// Checks that URLs can name an aggregate type and all its commands.
///
/// # Errors
/// The first name that URLs cannot have.
pub(crate) fn check<A: Aggregate>() -> Result<(), Unroutable> {
    if RESERVED_TYPES.contains(&A::TYPE) {
        return Err(Unroutable::ReservedType(A::TYPE));
    }
    let mut seen: HashMap<String, &'static str> = HashMap::new();
    // The engine refuses a command type that is not an enum.
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
        let catalogue = admin::CatalogueBuilder::new();
        ApiBuilder { config: config.clone(), resources, shapes, catalogue, openapi: OpenApi::new(name) }
    }

    /// Finds the aggregate type of a path segment.
    fn resource(&self, segment: &str) -> Result<&dyn Resource, Problem> {
        self.resources.get(segment).map(AsRef::as_ref).ok_or_else(|| {
            let what = format!("there is no aggregate type {segment:?}");
            unknown(&problem::UNKNOWN_AGGREGATE_TYPE, &what, segment, self.resources.keys().copied())
        })
    }
}

impl ApiBuilder {
    /// Adds the routes of an aggregate type that [`check`] has accepted. `engine` runs the type.
    pub(crate) fn aggregate<A: Aggregate>(mut self, engine: &Engine) -> Self {
        let schemas = VariantSchemas::of::<A::Command>(self.openapi.generator());
        let commands = Commands::of::<A>(&schemas);
        self.openapi.aggregate::<A>(&schemas);
        self.catalogue.aggregate::<A>();
        // A type that the engine does not run gets no routes.
        if let Some(aggregates) = engine.aggregates::<A>() {
            self.resources.insert(A::TYPE, Box::new(TypedResource { aggregates, commands }));
        }
        self
    }

    /// Adds the routes of the view of a projection.
    pub(crate) fn projection<P: Projection>(mut self) -> Self {
        self.openapi.projection::<P>();
        self.catalogue.projection::<P>();
        self.shapes.insert(P::NAME, Shape::of::<P::Document>());
        self
    }

    /// The service with all routes. The views are those of `projections`.
    pub(crate) fn service(
        self,
        engine: Engine,
        projections: Option<Projections>,
        metrics: PrometheusHandle,
    ) -> Service {
        let views = Views::new(&self.config, projections.as_ref(), self.shapes);
        metrics::describe();
        let config = admin::LiveConfig::new(self.config.clone());
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
            catalogue: self.catalogue.build(),
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
        Service { api, router, request_timeout: gateway.request_timeout }
    }
}

/// Bytes that a page may hold: its events, of which one may be larger than the page, and the events that are read at
/// once.
fn page_share(config: &Config) -> u64 {
    2 * config.gateway.page_bytes.as_u64().max(config.journal.event_size_max.as_u64())
}

async fn unknown_route() -> Problem {
    Problem::new(&problem::UNKNOWN_ROUTE, "see /docs for the addresses that exist")
}

/// Handles requests to the address of a command that are not a `POST`. Commands themselves do not reach the router.
async fn only_posted() -> impl IntoResponse {
    ([(ALLOW, HeaderValue::from_static("POST"))], method_not_allowed().await)
}

async fn method_not_allowed() -> Problem {
    Problem::new(&problem::METHOD_NOT_ALLOWED, "the header Allow lists the methods that this address accepts")
}

fn json(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

//! The HTTP API: commands, states and histories of aggregates, views, health, metrics, and its own description.
//!
//! An [`Api`] has everything that the routes need. Each aggregate type is behind a [`Resource`](resource::Resource),
//! where its Rust types end. Addresses, headers, bodies and problems are handled in the same way for all types. A
//! request first reaches the [`Service`]. The steps in `envelope` surround every request: they give it an id, and write
//! its problem if there is one. Commands are then passed straight to `execute`, everything else to axum's router.
//! `problem` lists the problem types. `error` is the one table from the errors of engine, projections and messaging to
//! problems.

mod access;
mod address;
mod admin;
mod audit;
mod body;
mod browsers;
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
mod operations;
mod operators;
mod origin;
mod outcome;
mod problem;
mod rates;
pub(crate) mod refusal;
mod resource;
mod route;
mod schema;
mod service;
mod state;
mod stream;
mod telegram;
#[cfg(test)]
mod tests;
mod token;
mod trace;
mod unread_body;
mod views;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use access::PermissionNames;
use access::{Access, AccessTableBuilder};
use audit::Audit;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use dormouse_audit::AuditLog;
use dormouse_auth::{Authenticator, Permissions};
use dormouse_config::{Admin, Config, Encryption, Gateway};
use dormouse_engine::Engine;
use dormouse_journal::CatchUps;
use dormouse_kernel::{Aggregate, kebab_case, variant_names};
use dormouse_messaging::Messaging;
use dormouse_projections::{Projection, Projections};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;

use crate::admin::{Catalogue, Permission};
use crate::app::ModuleInfo;
use crate::webhooks::Webhooks;
use browsers::Browsers;
use budget::Budget;
use commands::{Commands, RESERVED_SEGMENTS, unknown};
pub(crate) use event::{event_json, payload_json};
use openapi::OpenApi;
use operations::Operations;
pub(crate) use operations::final_refusal;
pub(crate) use operators::Audience;
use problem::Problem;
use rates::RequestRates;
use resource::{Resource, TypedResource};
pub(crate) use route::check_routes;
pub use route::{Route, RouteAnswer, RouteError, RouteRequest};
use schema::VariantSchemas;
pub(crate) use service::Service;
pub(crate) use stream::Streams;
pub(crate) use telegram::TelegramLogin;
use views::{Shape, Views};

/// How no name of an aggregate type may begin: such types are the runtime's own.
pub(crate) const RESERVED_PREFIX: &str = "dormouse-";

/// Names that no aggregate type may have: `/v1/{name}/…` is the address of another resource, or is reserved for one.
pub(crate) const RESERVED_TYPES: [&str; 5] = ["auth", "commands", "events", "operations", "views"];

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Everything that the routes need.
pub(crate) struct Api {
    access: Access,
    audit: Audit,
    /// Who may do what, for operators.
    permissions: Vec<Permission>,
    /// `None`: users of Telegram get no tokens.
    telegram: Option<TelegramLogin>,
    engine: Engine,
    metrics: PrometheusHandle,
    resources: BTreeMap<&'static str, Box<dyn Resource>>,
    /// `None`: the engine runs no asynchronous commands. Each command is carried out before it is answered.
    operations: Option<Operations>,
    streams: Streams,
    views: Views,
    /// `None`: the application has no projections.
    projections: Option<Projections>,
    modules: Vec<ModuleInfo>,
    messaging: Messaging,
    listener_stall_timers: health::ListenerStallTimers,
    /// `None`: only in tests without messaging.
    webhooks: Option<Webhooks>,
    config: admin::LiveConfig,
    encryption: Encryption,
    catalogue: Catalogue,
    openapi: Bytes,
    command_timeout: Duration,
    gateway: Gateway,
    admin: Admin,
    browsers: Browsers,
    rates: RequestRates,
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
    webhooks: Option<Webhooks>,
    openapi: OpenApi,
    routes: Vec<Route>,
    modules: Vec<ModuleInfo>,
    access: AccessTableBuilder,
    permissions: Vec<Permission>,
    authenticator: Option<Arc<Authenticator>>,
    audit: Option<AuditLog>,
    telegram: Option<TelegramLogin>,
}

/// Why an aggregate type cannot be reached by URLs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unroutable {
    /// The API uses its name.
    #[error("an aggregate cannot have the name {0:?}: the HTTP API reserves it, choose another name")]
    ReservedType(&'static str),
    /// The runtime has aggregates of its own with such names.
    #[error("an aggregate cannot have the name {0:?}: names that begin with {RESERVED_PREFIX:?} are the runtime's own")]
    ReservedPrefix(&'static str),
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
    /// The address of a route is not one.
    #[error("the route {path:?} is not valid: {problem}")]
    InvalidRoute {
        /// The address.
        path: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The server uses the beginning of a route's address.
    #[error("there cannot be a route {path:?}: the HTTP API reserves addresses that begin with /{first}")]
    ReservedRoute {
        /// The address.
        path: &'static str,
        /// Its first part.
        first: &'static str,
    },
    /// Two routes have the same address and method, or differ only in the names of parts.
    #[error("the routes {other:?} and {path:?} are the same, change one")]
    SameRoute {
        /// The address of one.
        path: &'static str,
        /// The address of the other.
        other: &'static str,
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
    if A::TYPE.starts_with(RESERVED_PREFIX) {
        return Err(Unroutable::ReservedPrefix(A::TYPE));
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
    /// The API of the application `name`, with these permissions.
    pub(crate) fn builder(name: &str, config: &Config, permissions: &Permissions) -> ApiBuilder {
        let (resources, shapes) = (BTreeMap::new(), BTreeMap::new());
        let catalogue = admin::CatalogueBuilder::new();
        ApiBuilder {
            config: config.clone(),
            resources,
            shapes,
            catalogue,
            webhooks: None,
            openapi: OpenApi::new(name),
            routes: Vec::new(),
            modules: Vec::new(),
            access: AccessTableBuilder::new(permissions.clone()),
            permissions: Vec::new(),
            authenticator: None,
            audit: None,
            telegram: None,
        }
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
        self.access.aggregate::<A>();
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
        self.access.projection::<P>();
        self.shapes.insert(P::NAME, Shape::of::<P::Document>());
        self
    }

    /// Shows operators these permissions.
    pub(crate) fn permissions(mut self, permissions: Vec<Permission>) -> Self {
        self.permissions = permissions;
        self
    }

    /// Gives tokens to users of a Telegram Web App.
    pub(crate) fn telegram(mut self, telegram: Option<TelegramLogin>) -> Self {
        self.telegram = telegram;
        self
    }

    /// Authenticates callers.
    pub(crate) fn authenticator(mut self, authenticator: Option<Arc<Authenticator>>) -> Self {
        self.authenticator = authenticator;
        self
    }

    /// Records who does what.
    pub(crate) fn audit(mut self, log: Option<AuditLog>) -> Self {
        self.audit = log;
        self
    }

    /// Serves these webhooks.
    pub(crate) fn webhooks(mut self, webhooks: Webhooks) -> Self {
        self.webhooks = Some(webhooks);
        self
    }

    /// Adds a route that [`check_routes`] has accepted.
    pub(crate) fn route(mut self, route: Route) -> Self {
        self.openapi.route(&route);
        self.access.route(&route);
        self.routes.push(route);
        self
    }

    /// The modules of the application.
    pub(crate) fn modules(mut self, modules: Vec<ModuleInfo>) -> Self {
        self.modules = modules;
        self
    }

    /// The service with all routes. The views are those of `projections`, the listeners those of `messaging`.
    pub(crate) fn service(
        self,
        engine: Engine,
        projections: Option<Projections>,
        messaging: Messaging,
        metrics: PrometheusHandle,
    ) -> Service {
        let access = Access::new(self.authenticator, self.access.build());
        let views = Views::new(&self.config, projections.as_ref(), self.shapes, access.is_on());
        metrics::describe();
        let config = admin::LiveConfig::new(self.config.clone());
        let encryption = self.config.journal.encryption;
        let gateway = &self.config.gateway;
        let api = Arc::new(Api {
            operations: Operations::of(&engine, &self.config),
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
            webhooks: self.webhooks,
            modules: self.modules,
            config,
            encryption,
            catalogue: self.catalogue.build(messaging.states()),
            messaging,
            listener_stall_timers: health::ListenerStallTimers::default(),
            openapi: self.openapi.document(&access),
            access,
            audit: Audit::new(self.audit),
            permissions: self.permissions,
            telegram: self.telegram,
            command_timeout: self.config.commands.timeout,
            gateway: gateway.clone(),
            admin: self.config.admin.clone(),
            browsers: Browsers::from_config(gateway),
            rates: RequestRates::from_config(&self.config),
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
            .route("/v1/auth/telegram", post(telegram::login))
            .route("/v1/operations/{operation}", get(operations::operation))
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
            .merge(admin::routes());
        let router = self
            .routes
            .into_iter()
            .fold(router, |router, route| route.add_to(router))
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
    no_route()
}

fn no_route() -> Problem {
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

//! A shopping cart, an API that serves it, and requests to that API.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use dormouse_auth::Permissions;
use dormouse_config::Config;
use dormouse_engine::Engine;
use dormouse_faults::{Faulty, GateGuard};
use dormouse_journal::{Journal, Options};
use dormouse_kernel::{Aggregate, Context, DomainEvent, Rejection};
use dormouse_messaging::store::Memory;
use dormouse_messaging::{Builder, Messaging};
use metrics_exporter_prometheus::PrometheusBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::command_bus::EngineBus;
use crate::http::{Api, Service};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Cart {
    owner: Option<String>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Line {
    /// The article.
    sku: String,
    quantity: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum CartCommand {
    /// Creates a cart.
    CreateCart {
        owner: String,
    },
    AddLines {
        lines: Vec<Line>,
        note: Option<String>,
    },
    /// Removes all lines.
    Clear,
    Look {},
    Explode,
    /// The application itself sends it.
    Expire,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum CartEvent {
    Created { owner: String },
    LineAdded { sku: String, quantity: u32 },
    Cleared,
}

impl DomainEvent for CartEvent {}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct CartReply {
    lines: usize,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CartRejection {
    #[error("the cart belongs to {0} already")]
    Taken(String),
    #[error("the cart is empty")]
    Empty,
}

impl Rejection for CartRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Taken(_) => "cart-taken",
            Self::Empty => "cart-empty",
        }
    }
}

impl Aggregate for Cart {
    const TYPE: &'static str = "cart";
    const INTERNAL_COMMANDS: &'static [&'static str] = &["Expire"];
    type Command = CartCommand;
    type Event = CartEvent;
    type Reply = CartReply;
    type Rejection = CartRejection;

    fn decide(&self, command: CartCommand, context: &mut Context<Self>) -> Result<CartReply, CartRejection> {
        match command {
            CartCommand::CreateCart { owner } => match &self.owner {
                Some(owner) => return Err(CartRejection::Taken(owner.clone())),
                None => context.emit(CartEvent::Created { owner }),
            },
            CartCommand::AddLines { lines, note: _ } => lines
                .into_iter()
                .for_each(|Line { sku, quantity }| context.emit(CartEvent::LineAdded { sku, quantity })),
            CartCommand::Clear if self.lines.is_empty() => return Err(CartRejection::Empty),
            CartCommand::Clear => context.emit(CartEvent::Cleared),
            CartCommand::Look {} | CartCommand::Expire => {}
            CartCommand::Explode => panic!("as commanded, at /secret/path"),
        }
        Ok(CartReply { lines: context.state().lines.len() })
    }

    fn evolve(&mut self, event: &CartEvent) {
        match event.clone() {
            CartEvent::Created { owner } => self.owner = Some(owner),
            CartEvent::LineAdded { sku, quantity } => self.lines.push(Line { sku, quantity }),
            CartEvent::Cleared => self.lines.clear(),
        }
    }
}

/// An API, with an engine and a journal in memory.
pub(super) struct Server {
    pub(super) service: Arc<Service>,
    pub(super) engine: Engine,
    pub(super) messaging: Messaging,
    /// The store of the queues.
    pub(super) queues: Arc<Memory>,
    store: Arc<Faulty>,
    shut: Mutex<Vec<GateGuard>>,
}

/// A whole response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::with_journal(Options::default(), configure).await
    }

    pub(super) async fn with_journal(options: Options, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::embedded();
        configure(&mut config);
        Self::of::<Cart>(Faulty::in_memory(), options, config, |builder| builder).await
    }

    /// Starts an application of one aggregate type and some listeners.
    pub(super) async fn listening<A: Aggregate>(config: Config, add: impl FnOnce(Builder) -> Builder) -> Self {
        Self::of::<A>(Faulty::in_memory(), Options::default(), config, add).await
    }

    /// Starts another version of the application on the journal of this one.
    pub(super) async fn replaced_by<A: Aggregate>(self) -> Self {
        self.messaging.stop(Instant::now()).await;
        assert!(self.engine.drain(Duration::from_secs(30)).await.complete);
        Self::of::<A>(self.store, Options::default(), Config::embedded(), |builder| builder).await
    }

    async fn of<A: Aggregate>(
        store: Arc<Faulty>,
        options: Options,
        config: Config,
        add: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let journal = Journal::start(Arc::clone(&store) as _, options).await.unwrap();
        let engine = Engine::builder(config.clone()).aggregate::<A>().start(journal.clone()).await.unwrap();
        let (queues, bus) = (Arc::new(Memory::new()), EngineBus::default().aggregate::<A>(&engine));
        let (types, options) = (bus.types(), dormouse_messaging::Options::from_config(&config));
        let builder = Messaging::builder(journal.clone(), Arc::clone(&queues) as _, Arc::new(bus), types, options);
        let messaging = add(builder).start(journal.epoch()).await.unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let api = Api::builder("shop", &config, &Permissions::new(&config.permissions, [])).aggregate::<A>(&engine);
        let api = api.audit(crate::audit::open(&config.audit).await.unwrap());
        let service = Arc::new(api.service(engine.clone(), None, messaging.clone(), metrics));
        Self { service, engine, messaging, queues, store, shut: Mutex::default() }
    }

    /// Routes everything but commands to this router instead of the API.
    pub(super) async fn routing(router: Router) -> Self {
        let server = Self::start().await;
        let service =
            Service { api: Arc::clone(&server.service.api), router, request_timeout: server.service.request_timeout };
        Self { service: Arc::new(service), ..server }
    }

    /// Blocks commits and pings until the gate opens.
    pub(super) fn shut_gate(&self) {
        *self.shut.lock().unwrap() = vec![self.store.hold_commits(), self.store.hold_pings()];
    }

    pub(super) fn open_gate(&self) {
        self.shut.lock().unwrap().clear();
    }

    /// Waits until the engine has this many unanswered requests.
    pub(super) async fn has_under_way(&self, requests: usize) {
        let all_taken = async {
            while self.engine.requests_under_way() < requests {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all_taken).await.expect("the engine takes what it is sent");
    }

    pub(super) async fn send(&self, request: Request) -> Answer {
        Answer::read(self.service.answer(request).await).await
    }

    /// Sends a request in a task that waits for the response.
    pub(super) fn begin(&self, request: Request) -> JoinHandle<Answer> {
        let service = Arc::clone(&self.service);
        tokio::spawn(async move { Answer::read(service.answer(request).await).await })
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, path, headers, Body::empty())).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub(super) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.post_text(path, headers, &body.to_string()).await
    }

    pub(super) async fn post_text(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = request(Method::POST, path, headers, Body::from(body.to_owned()));
        let json = "application/json".parse().unwrap();
        request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        self.send(request).await
    }

    /// Creates a cart of Ada with two lines: three events.
    pub(super) async fn fill_cart(&self, id: &str) {
        let created = self.post(&format!("/v1/cart/{id}/create-cart"), &serde_json::json!({"owner": "Ada"})).await;
        assert_eq!(created.status, 200, "{created:?}");
        let lines = serde_json::json!({"lines": [{"sku": "tea", "quantity": 2}, {"sku": "cup", "quantity": 1}]});
        let filled = self.post(&format!("/v1/cart/{id}/add-lines"), &lines).await;
        assert_eq!(filled.status, 200, "{filled:?}");
    }

    /// Blocks reads of aggregates until the guard is dropped.
    pub(super) fn hold_reads(&self) -> GateGuard {
        self.store.hold_reads()
    }

    /// How often the events of an aggregate were read from the store.
    pub(super) fn reads(&self) -> usize {
        self.store.reads().len()
    }

    pub(super) fn head(&self) -> u64 {
        self.engine.journal().head().borrow().0
    }

    /// Sends a request that must be refused, and checks that no event was stored.
    pub(super) async fn refused(&self, request: Request) -> Answer {
        let before = self.head();
        let answer = self.send(request).await;
        assert!(answer.status >= 400, "{answer:?}");
        self.engine.journal().flush().await;
        assert_eq!(self.head(), before, "{answer:?}");
        answer
    }

    pub(super) async fn refused_post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = request(Method::POST, path, headers, Body::from(body.to_string()));
        let json = "application/json".parse().unwrap();
        request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        self.refused(request).await
    }
}

pub(super) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Self { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The position in the token of the response.
    pub(super) fn position(&self) -> Option<&str> {
        self.header("dormouse-position").map(|token| token.split_once('-').map_or(token, |(digits, _)| digits))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks that the response is this problem, in the form of problems.
    #[track_caller]
    pub(super) fn is_problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["type"], format!("urn:dormouse:problem:{slug}"), "{body}");
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        assert_eq!(self.header("content-length"), Some(self.text.len().to_string().as_str()));
        body
    }
}

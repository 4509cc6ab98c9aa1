//! Projections of carts, and an API that serves their views.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use dormouse_auth::Permissions;
use dormouse_config::Config;
use dormouse_projections::store::Memory;
use dormouse_projections::{Event, Fields, Key, Keys, Options, Project, Projection, Projections, Sources, ViewStore};
use metrics_exporter_prometheus::PrometheusBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::support::{Cart, CartEvent, Server};
use crate::http::Api;

/// All carts that were not cleared, by id.
pub(super) struct Carts;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Content {
    owner: Option<Owner>,
    lines: Vec<Sku>,
    quantity: i64,
    average: f64,
    is_empty: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Owner {
    name: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Sku {
    sku: String,
    quantity: u32,
}

impl Projection for Carts {
    const NAME: &'static str = "carts";
    type Document = Content;

    fn fields() -> Fields {
        Fields::none().text("owner.name").integer("quantity").real("average").boolean("is_empty")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Cart>()
    }
}

impl Project<Cart> for Carts {
    fn keys(event: &Event<'_, Cart>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Content>, event: &Event<'_, Cart>, _: &Key) -> Option<Content> {
        let mut content = current.unwrap_or(Content { is_empty: true, ..Content::default() });
        match event.body() {
            CartEvent::Created { owner } => content.owner = Some(Owner { name: owner.clone() }),
            CartEvent::LineAdded { sku, quantity } => {
                Gate::pass(sku);
                assert!(sku != "poison" || Mended::is(event.id().as_str()));
                content.lines.push(Sku { sku: sku.clone(), quantity: *quantity });
                content.quantity += i64::from(*quantity);
                content.average = content.quantity as f64 / content.lines.len() as f64;
                content.is_empty = false;
            }
            CartEvent::Cleared => return None,
        }
        Some(content)
    }
}

/// The number of carts of each owner, by the owner's name. The view declares no fields.
pub(super) struct Owners;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Begun {
    carts: u64,
}

impl Projection for Owners {
    const NAME: &'static str = "owners";
    const VERSION: u32 = 3;
    type Document = Begun;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Cart>()
    }
}

impl Project<Cart> for Owners {
    fn keys(event: &Event<'_, Cart>) -> Keys {
        match event.body() {
            CartEvent::Created { owner } => Keys::one(owner.as_str()),
            _ => Keys::none(),
        }
    }

    fn project(current: Option<Begun>, _: &Event<'_, Cart>, _: &Key) -> Option<Begun> {
        Some(Begun { carts: current.map_or(0, |begun| begun.carts) + 1 })
    }
}

/// Projecting a line with this name blocks the worker until the gate opens.
pub(super) struct Gate(String);

static SHUT: Mutex<Option<HashSet<String>>> = Mutex::new(None);
static OPENED: Condvar = Condvar::new();

impl Gate {
    pub(super) fn shut(name: &str) -> Self {
        SHUT.lock().unwrap().get_or_insert_default().insert(name.to_owned());
        Self(name.to_owned())
    }

    fn pass(name: &str) {
        let is_shut = |shut: &mut Option<HashSet<String>>| shut.as_ref().is_some_and(|shut| shut.contains(name));
        drop(OPENED.wait_while(SHUT.lock().unwrap(), is_shut).unwrap());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        SHUT.lock().unwrap().get_or_insert_default().remove(&self.0);
        OPENED.notify_all();
    }
}

/// While this value exists, poison in the cart of this id is projected like any other line.
pub(super) struct Mended(String);

static MENDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Mended {
    pub(super) fn cart(id: &str) -> Self {
        MENDED.lock().unwrap().push(id.to_owned());
        Self(id.to_owned())
    }

    fn is(id: &str) -> bool {
        MENDED.lock().unwrap().iter().any(|mended| mended == id)
    }
}

impl Drop for Mended {
    fn drop(&mut self) {
        MENDED.lock().unwrap().retain(|mended| *mended != self.0);
    }
}

/// A server with views of its carts.
pub(super) struct Shop {
    server: Server,
    pub(super) projections: Projections,
    pub(super) store: Arc<Memory>,
}

impl Deref for Shop {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Shop {
    pub(super) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::embedded();
        configure(&mut config);
        let mut server = Server::with(|given| *given = config.clone()).await;
        let store = Arc::new(Memory::new());
        let builder =
            Projections::builder(server.engine.journal().clone(), Arc::clone(&store) as _, Options::default());
        let projections = builder.projection::<Carts>().projection::<Owners>().start().await.unwrap();
        let api =
            Api::builder("shop", &config, &Permissions::new(&config.permissions, [])).aggregate::<Cart>(&server.engine);
        let api = api.projection::<Carts>().projection::<Owners>();
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let (engine, shown) = (server.engine.clone(), Some(projections.clone()));
        let messaging = server.messaging.clone();
        server.service =
            metrics::with_local_recorder(&recorder, || Arc::new(api.service(engine, shown, messaging, metrics)));
        Self { server, projections, store }
    }

    /// Creates a cart with one line. Returns the position of its second event.
    pub(super) async fn cart(&self, id: &str, owner: &str, sku: &str, quantity: u32) -> u64 {
        let created = self.post(&format!("/v1/cart/{id}/create-cart"), &json!({ "owner": owner })).await;
        assert_eq!(created.status, 200, "{created:?}");
        self.add(id, sku, quantity).await
    }

    /// Adds a line to a cart.
    pub(super) async fn add(&self, id: &str, sku: &str, quantity: u32) -> u64 {
        let lines = json!({ "lines": [{ "sku": sku, "quantity": quantity }] });
        let added = self.post(&format!("/v1/cart/{id}/add-lines"), &lines).await;
        assert_eq!(added.status, 200, "{added:?}");
        added.json()["position"].as_u64().unwrap()
    }

    /// Waits until all views have caught up with the log.
    pub(super) async fn catch_up(&self) {
        let head = *self.engine.journal().head().borrow();
        for reader in self.projections.readers() {
            reader.wait_for(head, Duration::from_secs(30)).await.unwrap();
        }
    }

    /// Closes the store of the views while it is in use.
    pub(super) async fn lose_the_views(&self) {
        self.store.close().await;
    }
}

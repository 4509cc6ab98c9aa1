//! Webhooks: events that are sent to receivers on the web, signed as Standard Webhooks say.
//!
//! A subscription is a setting in the store of the queues, and a consumer of the same name. The consumer delivers each
//! event that the subscription wants at least once, in the order of each aggregate, always with the same `webhook-id`.
//! Subscriptions come and go while the server runs.

mod address;
mod client;
mod history;
mod receiver;
mod secret;
mod subscription;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use dormouse_config::Config;
use dormouse_journal::{Journal, PageLimit, ReadError};
use dormouse_kernel::{Position, Uuid};
use dormouse_messaging::store::Error as StoreError;
use dormouse_messaging::{Failure, Messaging, Order, RequestError, StartError};
use tokio::sync::Mutex;
use tracing::warn;

use crate::admin::{NewWebhook, Webhook as Document, WebhookChange, WebhookDelivery};
use crate::cloud_event;
use client::Client;
use history::History;
use subscription::{PREFIX, Subscription, invalid, name};
use webhook::{Publishing, Webhook};

/// The queue whose workers deliver.
const QUEUE: &str = "default";

/// The most subscriptions. Each is a consumer that follows the log.
const WEBHOOKS_MAX: usize = 100;

/// The webhooks of a running application. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    messaging: Messaging,
    journal: Journal,
    client: Arc<Client>,
    source: Arc<str>,
    tries: u32,
    webhooks: RwLock<BTreeMap<Uuid, Arc<Webhook>>>,
    /// One change of subscriptions at a time.
    changing: Mutex<()>,
}

/// Why the webhooks did not do what an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebhookError {
    /// A field of the request is wrong.
    #[error("{field} {what}")]
    Invalid { field: &'static str, what: String },
    /// There is no such subscription.
    #[error("there is no webhook {0}")]
    Unknown(String),
    /// The event is not among the latest deliveries.
    #[error("the event {0} is not among the latest deliveries: name its position, too")]
    NoDelivery(Uuid),
    /// The event at this position is another one.
    #[error("the event {event} is not at position {position}")]
    OtherEvent { event: Uuid, position: Position },
    /// There are too many subscriptions.
    #[error("there are {WEBHOOKS_MAX} webhooks already: remove one first")]
    TooMany,
    /// The system gives no random bytes for a secret.
    #[error("this system gives no random bytes: name a secret")]
    NoRandomness,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The event cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.inner.all().iter().map(|webhook| webhook.subscription.id)).finish()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Starts the subscriptions that are stored.
    ///
    /// # Errors
    /// If the store does not answer, or a subscription cannot be read.
    pub(crate) async fn start(
        messaging: Messaging,
        journal: Journal,
        application: &str,
        config: &Config,
    ) -> Result<Self, WebhookError> {
        let settings = messaging.settings(PREFIX).await?;
        let dormouse_config::Webhooks { allow_private, timeout, tries } = config.webhooks;
        let inner = Arc::new(Inner {
            messaging,
            journal,
            client: Arc::new(Client::new(allow_private, timeout)),
            source: cloud_event::source(application).into(),
            tries: tries.get(),
            webhooks: RwLock::default(),
            changing: Mutex::default(),
        });
        for (name, stored) in settings {
            let subscription: Subscription = serde_json::from_slice(&stored)
                .map_err(|error| WebhookError::Unreadable(format!("the setting {name:?} is damaged: {error}")))?;
            inner.run(subscription, Arc::default()).await?;
        }
        Ok(Self { inner })
    }

    /// All subscriptions, the oldest first.
    pub(crate) fn all(&self) -> Vec<Document> {
        self.inner.all().iter().map(|webhook| webhook.subscription.document()).collect()
    }

    /// One subscription.
    pub(crate) fn one(&self, id: &str) -> Result<Document, WebhookError> {
        Ok(self.inner.find(id)?.subscription.document())
    }

    /// Adds a subscription. When this returns, it is durable, and gets all later events. The document has the secret.
    pub(crate) async fn add(&self, asked: NewWebhook) -> Result<Document, WebhookError> {
        let subscription = self.inner.allowed(Subscription::new(asked)?)?;
        let _one = self.inner.changing.lock().await;
        if self.inner.all().len() >= WEBHOOKS_MAX {
            return Err(WebhookError::TooMany);
        }
        self.inner.store(&subscription).await?;
        let document = Document { secret: Some(subscription.secret.expose().to_owned()), ..subscription.document() };
        self.inner.run(subscription, Arc::default()).await?;
        Ok(document)
    }

    /// Changes a subscription. Deliveries in progress are cut off, and are made again.
    pub(crate) async fn change(&self, id: &str, change: WebhookChange) -> Result<Document, WebhookError> {
        let _one = self.inner.changing.lock().await;
        let webhook = self.inner.find(id)?;
        let subscription = self.inner.allowed(webhook.subscription.clone().changed(change)?)?;
        self.inner.replace(&webhook, subscription.clone()).await?;
        Ok(subscription.document())
    }

    /// Removes a subscription, with everything that waits to be delivered.
    pub(crate) async fn remove(&self, id: &str) -> Result<Document, WebhookError> {
        let _one = self.inner.changing.lock().await;
        let webhook = self.inner.find(id)?;
        let name = webhook.subscription.name();
        webhook.disable();
        // The setting is last: if anything before it fails, the subscription is still there and can be removed again.
        self.inner.messaging.remove(&name).await.map_err(request_error)?;
        self.inner.messaging.set_setting(&name, None).await?;
        self.inner.webhooks.write().unwrap_or_else(PoisonError::into_inner).remove(&webhook.subscription.id);
        Ok(webhook.subscription.document())
    }

    /// The latest deliveries of a subscription, the newest first.
    pub(crate) fn deliveries(&self, id: &str) -> Result<Vec<WebhookDelivery>, WebhookError> {
        Ok(self.inner.find(id)?.history.all())
    }

    /// Delivers an event once more, now, also if the subscription is disabled. The event is one of the latest
    /// deliveries, or is at `position`.
    pub(crate) async fn repeat(
        &self,
        id: &str,
        event: &str,
        position: Option<u64>,
    ) -> Result<WebhookDelivery, WebhookError> {
        let webhook = self.inner.find(id)?;
        let event: Uuid = event.parse().map_err(|_| invalid("event", "is not the id of an event"))?;
        let position = position.map(Position).or_else(|| webhook.history.position_of(event));
        let position = position.ok_or(WebhookError::NoDelivery(event))?;
        let before = Position(position.0.saturating_sub(1));
        let page = self.inner.journal.read_log(before, PageLimit::ONE).await?;
        let unreadable = |error: dormouse_kernel::CodecError| WebhookError::Unreadable(error.to_string());
        let recorded = page.events.into_iter().next().ok_or(WebhookError::OtherEvent { event, position })?;
        if recorded.metadata().map_err(unreadable)?.event_id.0 != event {
            return Err(WebhookError::OtherEvent { event, position });
        }
        Ok(webhook.deliver(&recorded, 1).await.map_err(unreadable)?.delivery)
    }
}

impl Inner {
    fn all(&self) -> Vec<Arc<Webhook>> {
        self.webhooks.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn find(&self, id: &str) -> Result<Arc<Webhook>, WebhookError> {
        let found = id
            .parse()
            .ok()
            .and_then(|id: Uuid| self.webhooks.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned());
        found.ok_or_else(|| WebhookError::Unknown(id.chars().take(64).collect()))
    }

    /// Refuses a receiver whose address shows that it is private. Names are looked up at each delivery.
    fn allowed(&self, subscription: Subscription) -> Result<Subscription, WebhookError> {
        if subscription.url.is_obviously_private() && !self.client.allows_private() {
            return Err(invalid("url", "has a private address, which webhooks.allow_private does not allow"));
        }
        Ok(subscription)
    }

    async fn store(&self, subscription: &Subscription) -> Result<(), WebhookError> {
        let stored = serde_json::to_vec(subscription).map_err(|error| WebhookError::Unreadable(error.to_string()))?;
        Ok(self.messaging.set_setting(&subscription.name(), Some(&stored)).await?)
    }

    /// Starts a subscription that is stored.
    async fn run(self: &Arc<Self>, subscription: Subscription, history: Arc<History>) -> Result<(), WebhookError> {
        let webhook = Arc::new(Webhook::new(subscription, history, self));
        let (id, name, begin) = (webhook.subscription.id, webhook.subscription.name(), webhook.subscription.begin());
        // It is there before its consumer runs, so that an operator can remove it if the consumer does not start.
        self.webhooks.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&webhook));
        let added = self.messaging.add_publisher(&name, QUEUE, Order::Ordered, begin, Publishing(webhook)).await;
        added.map_err(|error| match error {
            StartError::Store(error) => error.into(),
            StartError::Stopped => WebhookError::Stopping,
            error => WebhookError::Unreadable(error.to_string()),
        })
    }

    /// Puts a changed subscription in the place of a running one, where that has come to.
    async fn replace(self: &Arc<Self>, webhook: &Webhook, changed: Subscription) -> Result<(), WebhookError> {
        self.store(&changed).await?;
        self.messaging.stop_publisher(&changed.name()).await.map_err(request_error)?;
        self.run(changed, Arc::clone(&webhook.history)).await
    }

    /// Disables a subscription whose receiver has answered 410. It runs on without delivering anything.
    async fn receiver_is_gone(self: &Arc<Self>, webhook: &Webhook) -> Result<(), Failure> {
        let _one = self.changing.lock().await;
        let id = webhook.subscription.id;
        let current = self.find(&id.to_string());
        // An operator has changed or removed it meanwhile.
        let Ok(current) = current else { return Ok(()) };
        if current.subscription != webhook.subscription {
            return Ok(());
        }
        let gone = Subscription {
            disabled: Some("the receiver answered 410 Gone".to_owned()),
            ..webhook.subscription.clone()
        };
        self.store(&gone).await.map_err(|error| Failure::not_now(error.to_string()))?;
        webhook.disable();
        warn!(webhook = name(id), url = %gone.url, "the receiver answered 410 Gone: its webhook is disabled");
        let shown = Webhook::new(gone, Arc::clone(&webhook.history), self);
        self.webhooks.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(shown));
        Ok(())
    }
}

fn request_error(error: RequestError) -> WebhookError {
    match error {
        RequestError::Store(error) => error.into(),
        error => WebhookError::Unreadable(error.to_string()),
    }
}

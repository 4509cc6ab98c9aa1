//! The messaging of a running application: it opens the store of the queues, and starts the consumers.

use std::sync::Arc;

use dormouse_config::{Config, JournalUrl};
use dormouse_engine::Engine;
use dormouse_journal::Journal;
use dormouse_messaging::store::{self, Memory, Postgres, Sqlite};
use dormouse_messaging::{Messaging, Options, QueueStore};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::app::App;
use crate::nats;
use crate::webhooks::Webhooks;

/// Why messaging did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessagingError {
    /// The store of the queues cannot be opened.
    #[error("cannot open the queues at {place}: {source}")]
    Unopened {
        /// The URL of the journal, with its password masked: the queues are beside it.
        place: String,
        /// The store's error.
        source: store::Error,
    },
    /// The consumers cannot be started.
    #[error(transparent)]
    Consumers(#[from] dormouse_messaging::StartError),
    /// The webhooks cannot be started.
    #[error("cannot start the webhooks: {0}")]
    Webhooks(String),
    /// The connection to NATS cannot be prepared.
    #[error("nats.url: {0}")]
    Nats(String),
}

/// Opens the queues beside the journal, and starts the consumers of `app` and the webhooks.
pub(crate) async fn start(
    app: &App,
    config: &Config,
    journal: &Journal,
    engine: &Engine,
    domain: &Handle,
) -> Result<(Messaging, Webhooks), MessagingError> {
    let store = open(config).await?;
    let bus = app.add_to_bus(engine);
    let types = bus.types();
    let builder =
        Messaging::builder(journal.clone(), Arc::clone(&store), Arc::new(bus), types, Options::from_config(config));
    let started = async {
        let builder = app.add_to_messaging(builder, config, engine);
        let builder = nats::add_publisher(builder, app.name(), config).await?;
        Ok(builder.threads(domain.clone()).start(journal.epoch()).await?)
    };
    let messaging: Messaging = match started.await {
        Ok(messaging) => messaging,
        Err(error) => {
            store.close().await;
            return Err(error);
        }
    };
    match Webhooks::start(messaging.clone(), journal.clone(), app.name(), config).await {
        Ok(webhooks) => Ok((messaging, webhooks)),
        Err(error) => {
            messaging.stop(Instant::now()).await;
            Err(MessagingError::Webhooks(error.to_string()))
        }
    }
}

/// The queues are where the journal is: they say what of it was done.
async fn open(config: &Config) -> Result<Arc<dyn QueueStore>, MessagingError> {
    let place = &config.journal.url;
    let unopened = |source| MessagingError::Unopened { place: place.to_string(), source };
    Ok(match place {
        JournalUrl::Memory => Arc::new(Memory::default()),
        JournalUrl::Sqlite(directory) => Arc::new(Sqlite::open(directory, READ_CONNECTIONS).await.map_err(unopened)?),
        JournalUrl::Postgres(url) => {
            let limits = &config.journal.postgres;
            let opened = Postgres::open(url, Postgres::SCHEMA, POSTGRES_CONNECTIONS, limits).await;
            Arc::new(opened.map_err(unopened)?)
        }
    })
}

/// SQLite: threads for reading the queues. Consumers read little: jobs that are due, and lists for operators.
const READ_CONNECTIONS: u32 = 2;

/// PostgreSQL: connections for the queues. Each consumer has one commit under way at most.
const POSTGRES_CONNECTIONS: u32 = 4;

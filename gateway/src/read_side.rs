//! The read side of a running application: it opens the views, runs the projections, and stops both.

use std::sync::Arc;

use dormouse_config::{Config, JournalUrl};
use dormouse_encryption::DataKeys;
use dormouse_journal::Journal;
use dormouse_kernel::Position;
use dormouse_projections::store::{Memory, Postgres, Sqlite};
use dormouse_projections::{Options, Projections, Reader, State, ViewStore, store};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::app::App;

/// The running projections and the store of their views.
#[derive(Debug)]
pub(crate) struct ReadSide {
    projections: Projections,
    store: Arc<dyn ViewStore>,
}

/// Why the read side did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewsError {
    /// The store of the views cannot be opened.
    #[error("cannot open the views at {place}: {source}")]
    Unopened {
        /// The URL of the store, with its password masked.
        place: String,
        /// The store's error.
        source: store::Error,
    },
    /// The projections cannot be started.
    #[error(transparent)]
    Projections(#[from] dormouse_projections::StartError),
}

/// Opens the views and runs the projections of `app`. Returns `None`, and opens nothing, if the application has no
/// projections.
pub(crate) async fn start(
    app: &App,
    config: &Config,
    journal: &Journal,
    domain: &Handle,
) -> Result<Option<ReadSide>, ViewsError> {
    if !app.has_projections() {
        return Ok(None);
    }
    let store = open(config).await?;
    let builder = Projections::builder(journal.clone(), Arc::clone(&store), options(config, journal.data_keys()));
    match app.add_to_projections(builder).threads(domain.clone()).start().await {
        Ok(projections) => Ok(Some(ReadSide { projections, store })),
        Err(error) => {
            store.close().await;
            Err(error.into())
        }
    }
}

async fn open(config: &Config) -> Result<Arc<dyn ViewStore>, ViewsError> {
    let place = config.views.url.place(&config.journal.url);
    let unopened = |source| ViewsError::Unopened { place: place.to_string(), source };
    Ok(match place {
        JournalUrl::Memory => Arc::new(Memory::new()),
        JournalUrl::Sqlite(directory) => {
            let connections = config.views.read_connections.get();
            Arc::new(Sqlite::open(directory, connections).await.map_err(unopened)?)
        }
        JournalUrl::Postgres(url) => {
            let connections = config.views.read_connections.get();
            let opened =
                Postgres::open(url, &config.views.replicas, Postgres::SCHEMA, connections, &config.journal.postgres)
                    .await;
            Arc::new(opened.map_err(unopened)?)
        }
    })
}

fn options(config: &Config, data_keys: Option<&DataKeys>) -> Options {
    Options {
        batch_events: config.projections.batch_events,
        batch_bytes: usize::try_from(config.projections.batch_bytes.as_u64()).unwrap_or(usize::MAX),
        batch_interval: config.projections.batch_interval,
        workers: config.projections.workers,
        parallelism: config.projections.parallelism,
        cache_bytes: usize::try_from(config.projections.cache.as_u64()).unwrap_or(usize::MAX),
        poison_attempts: config.projections.poison_attempts,
        cache: config.cache.clone(),
        supervision: config.supervision.clone(),
        keys: data_keys.cloned(),
        ..Options::default()
    }
}

impl ReadSide {
    pub(crate) fn projections(&self) -> &Projections {
        &self.projections
    }

    /// Lets the views catch up with `head` until `deadline`, then stops the projections and closes the store, all by
    /// `end`. The journal may be closed already: its last events are still in memory. A view that does not catch up
    /// loses nothing: it continues from its position at the next start.
    pub(crate) async fn stop(self, head: Position, deadline: Instant, end: Instant) {
        let caught_up = timeout_at(deadline, async {
            for reader in self.projections.readers() {
                wait_until_caught_up(reader, head).await;
            }
        });
        let in_time = caught_up.await.is_ok();
        for progress in self.projections.progress().iter().filter(|progress| progress.position < head) {
            let (view, position) = (progress.name, progress.position);
            warn!(view, %position, %head, in_time, "a view has not caught up, it continues at the next start");
        }
        let stopped = timeout_at(end, async {
            self.projections.stop().await;
            self.store.close().await;
        });
        if stopped.await.is_err() {
            warn!("the views were not closed in time");
        }
    }
}

/// Returns when a view has reached `head`, or cannot reach it any more: its projection has stopped or retries, and the
/// journal that it would read from may be closed.
async fn wait_until_caught_up(reader: &Reader, head: Position) {
    let mut progress = reader.progress();
    let is_done = progress.wait_for(|progress| progress.position >= head || progress.state != State::Running);
    // An error means that the sender was dropped, so the position does not change any more.
    let _is_dropped = is_done.await.is_err();
}

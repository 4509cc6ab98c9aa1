//! The list of all background tasks of a server: what each does, and how it stops.
//!
//! [`BackgroundTasks`] spawns the tasks of this crate, except for the connections, which the accept loop has to own:
//!
//! - *HTTP accept loop* (`server::serve`): accepts connections and owns their tasks. It ends by the deadline that
//!   `shutdown` delivers, and is aborted if it is dropped.
//! - *connection* (`server::connection`): answers the requests of one connection, streams included. It ends with its
//!   client, or at the deadline of the accept loop.
//! - *metrics maintenance* (`telemetry::maintain`): keeps the memory of the metrics recorder small. It is aborted last.
//!
//! [`Engine::drain`](dormouse_engine::Engine::drain) stops the tasks of the engine, and then closes the journal:
//!
//! - *root, shards, aggregate actors* (`engine/supervision`, `engine/aggregate`): run and supervise the aggregates. The
//!   drain puts the aggregates to sleep and stops the root.
//! - *sweeper* (`engine/passivation.rs`): unloads idle aggregates. It ends with the root.
//! - *watches of the root and of the journal's health* (`engine/engine.rs`, `engine/supervision/root.rs`): make the
//!   node fail if one of them ends early. They end with what they watch.
//! - *replays* (`engine/aggregates.rs`): read states of the past and verify snapshots. They end with their request.
//! - *journal writer* (`journal/writer.rs`): commits batches. It ends when the journal is closed.
//! - *snapshot writer* (`journal/journal.rs`): stores snapshots. It ends when the last handle of the journal is
//!   dropped.
//! - *indexer* (`journal/store/sqlite/indexer.rs`): writes committed events into `index.db`. It finishes when the store
//!   is closed.
//! - *watch of write-ahead logs* (`journal/store/sqlite/wal.rs`): warns about a log that grows. It is aborted when the
//!   store is dropped.
//! - *loaders* (`journal/store/sqlite/loads.rs`): read single aggregates, many in one statement. They end when no read
//!   waits.
//! - *maintenance of connection pools* (`journal/store/postgres/session.rs`): closes idle connections to PostgreSQL. It
//!   ends when its pool is closed or dropped.
//! - *replica checks* (`journal/store/postgres/replica.rs`): check each replica once a second. They are aborted when
//!   the store is closed.
//!
//! `ReadSide::stop` stops the projections, and then closes the store of the views. That store has a watch,
//! maintenance and replica checks of its own, of the same types as the journal's:
//!
//! - *root, supervised workers* (`pool/supervision.rs`, `pool/worker.rs`): follow the log and project it, with one
//!   worker for each build. They end when [`Projections::stop`](dormouse_projections::Projections::stop) is called.
//! - *watches of the root and of `stop`* (`pool/pool.rs`, `pool/supervision.rs`): report the end of the root, and pass
//!   `stop` on to it. They end with the root.
//! - *decoders* (`pool/projector.rs`): decode the parts of a large batch. They end with their batch.
//! - *operator requests* (`pool/control.rs`): finish an operation although its client has disconnected. They end with
//!   the operation.

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tracing::error;

use crate::telemetry;

/// The background tasks of this crate. Dropping them aborts them.
#[derive(Debug)]
pub(crate) struct BackgroundTasks {
    server: JoinSet<()>,
    maintenance: JoinSet<()>,
}

impl BackgroundTasks {
    /// Spawns all of them. `server` is the HTTP accept loop.
    pub(crate) fn spawn(server: impl Future<Output = ()> + Send + 'static, metrics: PrometheusHandle) -> Self {
        let mut tasks = Self { server: JoinSet::new(), maintenance: JoinSet::new() };
        tasks.server.spawn(server);
        tasks.maintenance.spawn(telemetry::maintain(metrics));
        tasks
    }

    /// Waits until the HTTP server has ended.
    pub(crate) async fn server_ended(&mut self) {
        while let Some(ended) = self.server.join_next().await {
            if let Err(error) = ended {
                error!(%error, "the HTTP server failed");
            }
        }
    }

    /// Ends the tasks that are left.
    pub(crate) async fn stop(mut self) {
        self.server.shutdown().await;
        self.maintenance.shutdown().await;
    }
}

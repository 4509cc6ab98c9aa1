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
//! - *root* (`engine/supervision/root.rs`): restarts shards and the sweeper, and fails the engine if the journal is lost.
//!   It ends with the drain, or when it gives up.
//! - *shards* (`engine/supervision/shard.rs`), `runtime.shards` of them: supervise the actors of aggregates. They end
//!   with the root.
//! - *aggregate actors* (`engine/aggregate/actor.rs`): decide commands and answer reads. They end when the aggregate is
//!   put to sleep or fails, or with their shard.
//! - *sweeper* (`engine/passivation/sweep.rs`): unloads aggregates, every `passivation.sweep_interval` and over the
//!   limit. It ends with the root.
//! - *watches of the root and of the journal's health* (`engine/engine/builder.rs`, `engine/supervision/root.rs`): make
//!   the node fail if one of them ends early. They end with what they watch.
//! - *replays* (`engine/aggregates/past.rs`): read states of the past and verify snapshots. They end with their request.
//! - *journal writer* (`journal/writer.rs`): commits batches. It ends when the journal is closed, when another owner takes
//!   over, or when the last handle of the journal is dropped.
//! - *snapshot writer* (`journal/journal/snapshots.rs`): stores snapshots. It ends when the last handle is dropped.
//! - *indexer* (`journal/store/sqlite/indexer.rs`): writes committed events into `index.db`. It ends when the store is
//!   closed, or when another owner takes over.
//! - *loaders* (`journal/store/sqlite/loads.rs`): read single aggregates, many in one statement. They end when no read
//!   waits.
//! - *WAL watch* (`storage/sqlite/wal_watch.rs`): warns about a write-ahead log that grows. It ends with its store.
//! - *idle connections* (`storage/postgres/sessions.rs`): opens and closes idle connections. It ends with its store.
//! - *replica probes* (`storage/postgres/replicas.rs`): check each replica once a second. They end with their store.
//!
//! `ReadSide::stop` stops the projections, and then closes the store of the views, which has its own WAL watch, idle
//! connections and replica probes:
//!
//! - *root, supervised workers* (`pool/supervision.rs`, `pool/worker.rs`): follow the log and project it, with one
//!   worker for each build. They end when [`Projections::stop`](dormouse_projections::Projections::stop) is called.
//! - *watches of the root and of `stop`* (`pool/pool.rs`, `pool/supervision.rs`): report the end of the root, and pass
//!   `stop` on to it. They end with the root.
//! - *decoders* (`pool/projector/decoding.rs`): decode the parts of a large batch. They end with their batch.
//! - *operator requests* (`pool/control/request.rs`): finish an operation although its client has disconnected. They
//!   end with the operation.

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

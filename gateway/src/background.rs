//! The list of all background tasks of a server: what each does, and how it stops.
//!
//! [`BackgroundTasks`] spawns the tasks of this crate, except for the connections, which the accept loop has to own:
//!
//! | Task | Does | Stops |
//! |---|---|---|
//! | HTTP accept loop (`server::serve`) | accepts connections and owns their tasks | by the deadline that `shutdown` delivers; aborted if dropped |
//! | connection (`server::connection`) | answers the requests of one connection, streams included | with its client, or at the deadline of the accept loop |
//! | metrics maintenance (`telemetry::maintain`) | keeps the memory of the metrics recorder small | aborted |
//!
//! [`Engine::drain`](dormouse_engine::Engine::drain) stops the tasks of the engine, and then those of the journal:
//!
//! | Task | Does | Stops |
//! |---|---|---|
//! | root, shards, aggregate actors (`engine/supervision`, `engine/aggregate`) | run and supervise the aggregates | the drain puts the aggregates to sleep and stops the root |
//! | sweeper (`engine/passivation.rs`) | unloads idle aggregates | with the root |
//! | watches of the root and of the journal's health (`engine.rs`, `supervision/root.rs`) | make the node fail if either ends | with what they watch |
//! | replays (`engine/aggregates.rs`) | read states of the past, verify snapshots | with their request |
//! | journal writer (`journal/writer.rs`) | commits batches | when the journal is closed |
//! | snapshot writer (`journal/journal.rs`) | stores snapshots | when the last handle of the journal is dropped |
//! | indexer (`journal/store/sqlite/indexer.rs`) | writes committed events into `index.db` | finishes when the store is closed |
//! | watch of write-ahead logs (`journal/store/sqlite/wal.rs`) | warns about a log that grows | aborted with the store |
//! | loaders (`journal/store/sqlite/loads.rs`) | read single aggregates, many in one statement | when no read waits |
//! | maintenance of connection pools (`journal/store/postgres/session.rs`) | closes idle connections to PostgreSQL | when the pool is closed or dropped |
//! | replica checks (`journal/store/postgres/replica.rs`) | check each replica once a second | aborted with the store |
//!
//! [`Projections::stop`](dormouse_projections::Projections::stop), which `read_side` calls, stops the tasks of the
//! projections. Closing the store of the views stops the tasks of that store, which are of the same types as the journal's:
//!
//! | Task | Does | Stops |
//! |---|---|---|
//! | root, supervised workers (`pool/supervision.rs`, `pool/worker.rs`) | follow the log and project it, one worker for each build | told by `stop` |
//! | watches of the root and of `stop` (`pool.rs`, `supervision.rs`) | report the end of the root, and pass `stop` on to it | with the root |
//! | decoders (`pool/projector.rs`) | decode the parts of a large batch | with their batch |
//! | operator requests (`pool/control.rs`) | finish an operation although its client has disconnected | when the operation is done |

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

//! The list of all background tasks of a server: what each does, and how it stops.
//!
//! [`BackgroundTasks`] spawns the tasks of this crate, except for the connections, which the accept loop has to own:
//!
//! - *HTTP accept loops* (`server::serve`), one for each address: accept connections and own their tasks. They end by the
//!   deadline that `shutdown` delivers, and are aborted if they are dropped.
//! - *connection* (`server::connection`): answers the requests of one connection, streams included. It ends with its
//!   client, or at the deadline of the accept loop.
//! - *certificate* (`server::tls`): reads the certificate again. It is aborted last.
//! - *keys of callers* (`auth/authenticator.rs`): reads changed keys of issuers, and changed API keys. It is aborted last.
//! - *head of the audit log* (`audit.rs`): writes the head into the server's log once an hour. It is aborted last. The
//!   thread that writes the audit log (`audit/log/writer.rs`) ends when the log is closed, after everything else.
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
//! [`Messaging::stop`](dormouse_messaging::Messaging::stop) stops the consumers before the engine, and then closes the
//! store of the queues:
//!
//! - *consumers* (`messaging/consumer/task.rs`), one each for messages, reactors, handlers, publishers (webhooks, NATS) and
//!   failed timers: follow the log and start jobs. They end when messaging stops, those of webhooks also when they are
//!   changed or removed.
//! - *connection to NATS* (`nats.rs`): ends when its publisher has ended.
//! - *jobs* (`messaging/consumer/session/jobs.rs`): deliver messages and run handlers. They end by themselves, at their
//!   timeout, or at the deadline of the stop.
//! - *timers* (`messaging/timers/task.rs`): keep the timers of the log, and fire them. They end when messaging stops.
//! - *scaling* (`messaging/messaging.rs`): adapts the workers of queues, once a second. It ends when messaging stops.
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

use std::sync::Arc;

use dormouse_audit::AuditLog;
use dormouse_auth::Authenticator;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tracing::error;

use crate::server::Tls;
use crate::{audit, telemetry};

/// The background tasks of this crate. Dropping them aborts them.
#[derive(Debug)]
pub(crate) struct BackgroundTasks {
    servers: JoinSet<()>,
    maintenance: JoinSet<()>,
}

impl BackgroundTasks {
    /// Spawns all of them. `servers` are the HTTP accept loops, one for each address.
    pub(crate) fn spawn(
        servers: impl IntoIterator<Item: Future<Output = ()> + Send + 'static>,
        tls: Option<Arc<Tls>>,
        authenticator: Option<Arc<Authenticator>>,
        audit: Option<AuditLog>,
        metrics: PrometheusHandle,
    ) -> Self {
        let mut tasks = Self { servers: JoinSet::new(), maintenance: JoinSet::new() };
        for server in servers {
            tasks.servers.spawn(server);
        }
        tasks.maintenance.spawn(telemetry::maintain(metrics));
        if let Some(tls) = tls {
            tasks.maintenance.spawn(tls.keep_current());
        }
        if let Some(authenticator) = authenticator {
            tasks.maintenance.spawn(authenticator.keep_current());
        }
        if let Some(log) = audit {
            tasks.maintenance.spawn(audit::tell_heads(log));
        }
        tasks
    }

    /// Waits until the HTTP server has ended.
    pub(crate) async fn server_ended(&mut self) {
        while let Some(ended) = self.servers.join_next().await {
            if let Err(error) = ended {
                error!(%error, "the HTTP server failed");
            }
        }
    }

    /// Ends the tasks that are left.
    pub(crate) async fn stop(mut self) {
        self.servers.shutdown().await;
        self.maintenance.shutdown().await;
    }
}

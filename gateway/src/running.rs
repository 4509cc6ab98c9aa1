//! A running application: starts its parts in the right order, and stops them in the reverse order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dormouse_config::{Config, Violation};
use dormouse_engine::{DrainReport, Engine, Lifecycle};
use dormouse_journal::OpenError;
use dormouse_kernel::Position;
use dormouse_projections::{Projection, Projections, View};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::app::App;
use crate::background::BackgroundTasks;
use crate::http::{Api, Streams};
use crate::read_side::{self, ReadSide, ViewsError};
use crate::{server, telemetry};

/// Connections that may wait to be accepted; the kernel's own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: u32 = 1024;

/// How long running requests may take when the server has failed: nothing that they wait for can succeed any more.
const FAILED_GRACE: Duration = Duration::from_secs(1);

/// How long closing the journal or the views may take. What was acknowledged is durable even if this time passes.
const CLOSE_BOUND: Duration = Duration::from_secs(5);

/// An application that runs inside this process. Dropping it cuts off its requests and leaves the engine running.
/// [`stop`](Self::stop) ends it in good order.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    engine: Engine,
    /// `None`: the application has no projections.
    read_side: Option<ReadSide>,
    unready_for: Duration,
    drain_timeout: Duration,
    streams: Streams,
    shut_down: oneshot::Sender<Instant>,
    tasks: BackgroundTasks,
}

/// Why an application did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] Violation),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listen_hint(source))]
    Listen {
        /// `gateway.listen`.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// An aggregate cannot be reached by a URL.
    #[error("{0}")]
    Unroutable(String),
    /// The engine refused the aggregates.
    #[error(transparent)]
    Engine(#[from] dormouse_engine::StartError),
    /// The views cannot be opened, or a projection is invalid. Only such an error prevents a start: if a view fails
    /// later, or has to be rebuilt, commands are served nevertheless.
    #[error(transparent)]
    Views(#[from] ViewsError),
}

fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: stop it, or set another gateway.listen",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address: set another gateway.listen",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are reserved: set another gateway.listen",
        _ => "",
    }
}

pub(crate) async fn start(app: &App, config: Config, domain: &Handle) -> Result<Running, StartError> {
    config.validate()?;
    app.check().map_err(|error| StartError::Unroutable(error.to_string()))?;
    let metrics = telemetry::recorder();
    // The address is bound first, so that a second server that is started by mistake fails before it takes over the
    // journal of the first one. Listening begins last, so that no client connects before the API can answer.
    let configured = config.gateway.listen;
    let not_listening = |source| StartError::Listen { address: configured, source };
    let socket = bind(configured).map_err(not_listening)?;
    let journal = dormouse_journal::open(&config).await?;
    let engine =
        match app.add_to_engine(Engine::builder(config.clone()).threads(domain.clone())).start(journal.clone()).await {
            Ok(engine) => engine,
            Err(error) => {
                journal.close().await;
                return Err(error.into());
            }
        };
    let read_side = match read_side::start(app, &config, &journal, domain).await {
        Ok(read_side) => read_side,
        Err(error) => {
            engine.drain(Duration::ZERO).await;
            return Err(error.into());
        }
    };
    let api = app.add_to_api(Api::builder(app.name(), &config), &engine);
    let projections = read_side.as_ref().map(|read_side| read_side.projections().clone());
    let service = Arc::new(api.service(engine.clone(), projections, metrics.clone()));
    let streams = service.streams();
    let answer = move |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    };
    let (listener, address) = match listen(socket) {
        Ok(listening) => listening,
        Err(error) => {
            engine.drain(Duration::ZERO).await;
            if let Some(read_side) = read_side {
                read_side.stop(Position::ZERO, Instant::now(), Instant::now() + CLOSE_BOUND).await;
            }
            return Err(not_listening(error));
        }
    };

    let (shut_down, shutdown) = oneshot::channel();
    let server = server::serve(listener, answer, server::Options::from_config(&config.gateway), shutdown);
    let tasks = BackgroundTasks::spawn(server, metrics);
    info!(%address, journal = %config.journal.url, "running");
    let (unready_for, drain_timeout) = (config.gateway.unready_for, config.gateway.drain_timeout);
    Ok(Running { address, engine, read_side, unready_for, drain_timeout, streams, shut_down, tasks })
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Without this, a restart would have to wait until the kernel forgets the connections of the last run.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(socket: TcpSocket) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Running {
    /// The address on which it listens. If the configured port was 0, this has the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine, for commands from inside the process.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The projections, their progress and their views. `None` if the application has no projections.
    #[must_use]
    pub fn projections(&self) -> Option<&Projections> {
        self.read_side.as_ref().map(ReadSide::projections)
    }

    /// The view of a projection, for reads from inside the process in the projection's own types.
    #[must_use]
    pub fn view<P: Projection>(&self) -> Option<View<P>> {
        self.projections()?.view()
    }

    /// Waits until the server has failed beyond repair, and returns the reason. Then it should be stopped, and the
    /// process should end.
    pub async fn failed(&self) -> String {
        let mut lifecycle = self.engine.lifecycle();
        match lifecycle.wait_for(|lifecycle| matches!(lifecycle, Lifecycle::Failed(_))).await.as_deref() {
            Ok(Lifecycle::Failed(reason)) => reason.clone(),
            // The engine belongs to `self`, so its lifecycle channel lives as long as `self`.
            _ => std::future::pending().await,
        }
    }

    /// Reports that it is unready, and serves for another `gateway.unready_for`. Then it accepts no more connections,
    /// finishes the running requests, drains the engine, and lets the views catch up, all within
    /// `gateway.drain_timeout`. What was acknowledged is durable in every case.
    pub async fn stop(mut self) -> DrainReport {
        self.engine.leave();
        info!(unready_for = ?self.unready_for, "reporting unready before the shutdown");
        // A server that has failed is unready already, and has nothing more to serve.
        let _failed = timeout(self.unready_for, self.failed()).await;
        let failed = matches!(*self.engine.lifecycle().borrow(), Lifecycle::Failed(_));
        let grace = if failed { self.drain_timeout.min(FAILED_GRACE) } else { self.drain_timeout };
        let deadline = Instant::now() + grace;
        info!(timeout = ?grace, "draining");
        // Streams do not end by themselves. They must not end before this server stops accepting connections: otherwise
        // a client would reconnect, and its stream would continue here.
        self.streams.end();
        // If the server task has ended already, there is no receiver.
        let _has_ended = self.shut_down.send(deadline);
        self.tasks.server_ended().await;
        let rest = deadline.saturating_duration_since(Instant::now());
        let report = match timeout(rest + CLOSE_BOUND, self.engine.drain(rest)).await {
            Ok(report) => report,
            Err(_) => {
                warn!("the journal was not closed in time");
                let still_live = self.engine.residency().iter().map(|of_type| of_type.live).sum();
                DrainReport { complete: false, still_live }
            }
        };
        if let Some(read_side) = self.read_side {
            let head = *self.engine.journal().head().borrow();
            read_side.stop(head, deadline, deadline + CLOSE_BOUND).await;
        }
        self.tasks.stop().await;
        info!(complete = report.complete, still_live = report.still_live, "stopped");
        report
    }
}

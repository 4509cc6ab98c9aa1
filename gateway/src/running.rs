//! A running application: starts its parts in the right order, and stops them in the reverse order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dormouse_audit::AuditLog;
use dormouse_auth::{Authenticator, UnusableKeys};
use dormouse_config::{Config, Violation};
use dormouse_engine::{DrainReport, Engine, Lifecycle};
use dormouse_journal::OpenError;
use dormouse_kernel::Position;
use dormouse_messaging::Messaging;
use dormouse_projections::{Projection, Projections, View};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::app::App;
use crate::background::BackgroundTasks;
use crate::http::{Api, Audience, Streams};
use crate::messaging_side::{self, MessagingError};
use crate::read_side::{self, ReadSide, ViewsError};
use crate::server::{self, Tls};
use crate::telemetry;
use crate::{audit, callers};

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
    /// `None`: operators use `address`, too.
    admin_address: Option<SocketAddr>,
    /// `None`: connections are not encrypted.
    tls: Option<Arc<Tls>>,
    /// `None`: callers are not authenticated.
    authenticator: Option<Arc<Authenticator>>,
    /// `None`: who does what is not recorded.
    audit: Option<AuditLog>,
    engine: Engine,
    /// `None`: the application has no projections.
    read_side: Option<ReadSide>,
    messaging: Messaging,
    unready_for: Duration,
    drain_timeout: Duration,
    streams: Streams,
    /// One for each address on which it listens.
    shut_down: Vec<oneshot::Sender<Instant>>,
    tasks: BackgroundTasks,
}

/// Why an application did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] Violation),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listen_hint(source, key))]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The certificate of the server cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The keys of the issuers of tokens, or the API keys, cannot be used.
    #[error(transparent)]
    Keys(#[from] UnusableKeys),
    /// The audit log cannot be opened.
    #[error("audit: {0}")]
    Audit(#[from] dormouse_audit::OpenError),
    /// A permission names something that does not exist, or has `own:` where nothing belongs to a subject.
    #[error("{0}")]
    Permissions(String),
    /// The configuration names a module that the application does not have.
    #[error("{0}")]
    UnknownModule(String),
    /// An aggregate or a route cannot be reached by a URL.
    #[error("{0}")]
    Unroutable(String),
    /// The keys of data at rest cannot be opened.
    #[error(transparent)]
    DataKeys(#[from] dormouse_encryption::CannotOpen),
    /// The engine refused the aggregates.
    #[error(transparent)]
    Engine(#[from] dormouse_engine::StartError),
    /// The views cannot be opened, or a projection is invalid. Only such an error prevents a start: if a view fails
    /// later, or has to be rebuilt, commands are served nevertheless.
    #[error(transparent)]
    Views(#[from] ViewsError),
    /// The queues cannot be opened, or a reactor or a handler is invalid.
    #[error(transparent)]
    Messaging(#[from] MessagingError),
}

fn listen_hint(error: &io::Error, key: &str) -> String {
    let problem = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there: stop it, or",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address:",
        io::ErrorKind::PermissionDenied => "ports below 1024 are reserved:",
        _ => return String::new(),
    };
    format!("; {problem} set another {key}")
}

pub(crate) async fn start(app: &App, config: Config, domain: &Handle) -> Result<Running, StartError> {
    config.validate()?;
    config.validate_start()?;
    let permissions = app.permissions(&config).map_err(|error| {
        StartError::Permissions(format!("{error}: `{} auth permissions` lists the names", app.name()))
    })?;
    let authenticator = callers::authenticator(&config.auth)?;
    let (app, config) =
        app.with_enabled_modules(config).map_err(|error| StartError::UnknownModule(error.to_string()))?;
    let app = &app;
    app.check().map_err(|error| StartError::Unroutable(error.to_string()))?;
    let metrics = telemetry::recorder();
    let tls = Tls::load(&config.gateway.tls).map_err(|error| StartError::Certificate(error.to_string()))?;
    // The address is bound first, so that a second server that is started by mistake fails before it takes over the
    // journal of the first one. Listening begins last, so that no client connects before the API can answer.
    let socket = Socket::bind("gateway.listen", config.gateway.listen)?;
    let admin_socket = config.admin.listen.map(|address| Socket::bind("admin.listen", address)).transpose()?;
    let audit = audit::open(&config.audit).await?;
    let data_keys = dormouse_encryption::open_keys(&config).await?;
    let telegram = callers::telegram(&config.auth, authenticator.as_deref(), data_keys.as_ref())?;
    let journal = dormouse_journal::open(&config, data_keys).await?;
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
    let close_read_side = async |read_side: Option<ReadSide>| {
        if let Some(read_side) = read_side {
            read_side.stop(Position::ZERO, Instant::now(), Instant::now() + CLOSE_BOUND).await;
        }
    };
    let (messaging, webhooks) = match messaging_side::start(app, &config, &journal, &engine, domain).await {
        Ok(started) => started,
        Err(error) => {
            engine.drain(Duration::ZERO).await;
            close_read_side(read_side).await;
            return Err(error.into());
        }
    };
    let api = app.add_to_api(Api::builder(app.name(), &config, &permissions), &engine);
    let api = api.webhooks(webhooks).modules(app.module_infos()).permissions(app.list_permissions(&permissions));
    let api = api.authenticator(authenticator.clone()).telegram(telegram).audit(audit.clone());
    let projections = read_side.as_ref().map(|read_side| read_side.projections().clone());
    let service = Arc::new(api.service(engine.clone(), projections, messaging.clone(), metrics.clone()));
    let streams = service.streams();
    let listening = socket.listen().and_then(|main| Ok((main, admin_socket.map(Socket::listen).transpose()?)));
    let ((listener, address), of_operators) = match listening {
        Ok(listening) => listening,
        Err(error) => {
            messaging.stop(Instant::now()).await;
            engine.drain(Duration::ZERO).await;
            close_read_side(read_side).await;
            return Err(error);
        }
    };
    let admin_address = of_operators.as_ref().map(|(_, address)| *address);
    let audience = if admin_address.is_some() { Audience::Clients } else { Audience::All };
    let listeners = [(listener, audience)].into_iter();
    let listeners = listeners.chain(of_operators.map(|(listener, _)| (listener, Audience::Operators)));
    let options = server::Options::from_config(&config.gateway);
    let (mut servers, mut shut_down) = (Vec::new(), Vec::new());
    for (listener, audience) in listeners {
        let service = Arc::clone(&service);
        let answer = move |request, peer| {
            let service = Arc::clone(&service);
            async move { service.answer_from(&peer, audience, request).await }
        };
        let (sender, shutdown) = oneshot::channel();
        servers.push(server::serve(listener, tls.clone(), answer, options, shutdown));
        shut_down.push(sender);
    }
    if let Some(log) = &audit {
        audit::record_start(log, address).await;
        authenticator.iter().for_each(|authenticator| audit::follow_keys(log, authenticator));
    }
    let tasks = BackgroundTasks::spawn(servers, tls.clone(), authenticator.clone(), audit.clone(), metrics);
    let admin = admin_address.map(tracing::field::display);
    info!(%address, admin, encrypted = tls.is_some(), journal = %config.journal.url, "running");
    let (unready_for, drain_timeout) = (config.gateway.unready_for, config.gateway.drain_timeout);
    Ok(Running {
        address,
        admin_address,
        tls,
        authenticator,
        audit,
        engine,
        read_side,
        messaging,
        unready_for,
        drain_timeout,
        streams,
        shut_down,
        tasks,
    })
}

/// A socket that has its address, and does not listen yet.
struct Socket {
    key: &'static str,
    address: SocketAddr,
    bound: TcpSocket,
}

impl Socket {
    /// A socket with the address that the configuration has under this key.
    fn bind(key: &'static str, address: SocketAddr) -> Result<Self, StartError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Without this, a restart would have to wait until the kernel forgets the connections of the last run.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        let bound = bind().map_err(|source| StartError::Listen { key, address, source })?;
        Ok(Self { key, address, bound })
    }

    fn listen(self) -> Result<(TcpListener, SocketAddr), StartError> {
        let Self { key, address, bound } = self;
        let listening = bound.listen(BACKLOG).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        listening.map_err(|source| StartError::Listen { key, address, source })
    }
}

impl Running {
    /// The address on which it listens. If the configured port was 0, this has the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address on which it serves operators, if that is another one (`admin.listen`).
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The address on which it listens, as a URL: `https://` if connections are encrypted.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Reads the certificate of the server, the keys of issuers and the API keys again, and uses what has changed. The
    /// server also does this by itself, files every ten seconds. Must be called within a Tokio runtime.
    pub fn reload(&self) {
        self.audit.iter().for_each(audit::note_reload);
        if let Some(tls) = &self.tls {
            tls.reload();
        }
        if let Some(authenticator) = self.authenticator.clone() {
            // An issuer may take seconds to answer.
            tokio::spawn(async move { authenticator.read_again().await });
        }
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

    /// The reactors, the handlers and the timers.
    #[must_use]
    pub fn messaging(&self) -> &Messaging {
        &self.messaging
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
        for shut_down in self.shut_down {
            // If the server task has ended already, there is no receiver.
            let _has_ended = shut_down.send(deadline);
        }
        self.tasks.server_ended().await;
        // Before the engine, which carries out the commands of the jobs that are under way.
        self.messaging.stop(deadline).await;
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
        if let Some(log) = &self.audit {
            audit::record_stop(log, report.complete).await;
        }
        info!(complete = report.complete, still_live = report.still_live, "stopped");
        report
    }
}

//! Connections: one of its own for each purpose that nobody may hold up, and a pool for everybody else.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dormouse_config::PostgresUrl;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::failure::Failure;

/// A connection that was idle for longer is asked whether it still stands before it is used: the server may have been
/// restarted meanwhile.
const TRUSTED: Duration = Duration::from_secs(1);

/// What a session is for. It shows as its `application_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Migrations.
    Schema,
    /// Taking over and appending.
    Write,
    /// What the writer looks up before it appends.
    Check,
    /// Everything else.
    Read,
}

impl Purpose {
    const fn application_name(self) -> &'static str {
        match self {
            Self::Schema => "dormouse schema",
            Self::Write => "dormouse writer",
            Self::Check => "dormouse checks",
            Self::Read => "dormouse reader",
        }
    }
}

/// Where to connect, and what every connection is told.
#[derive(Clone, Debug)]
pub(super) struct Server {
    options: PgConnectOptions,
    limits: dormouse_config::Postgres,
}

impl Server {
    pub(super) fn new(url: &PostgresUrl, limits: &dormouse_config::Postgres) -> Result<Self, Failure> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(Failure::from)?;
        let statement_timeout = limits.statement_timeout.as_millis();
        let options = options.disable_statement_logging().options([
            ("statement_timeout", statement_timeout),
            ("lock_timeout", limits.lock_timeout.as_millis()),
            // No statement of ours follows another's answer by more than a round trip.
            ("idle_in_transaction_session_timeout", statement_timeout),
            // Whoever vanished is noticed within a minute, so that it holds no lock for hours.
            ("tcp_keepalives_idle", 30),
            ("tcp_keepalives_interval", 10),
            ("tcp_keepalives_count", 3),
        ]);
        let options = options.options([
            // A waiting append must see the epoch as it is when its turn comes, not as it was when it was sent.
            ("default_transaction_isolation", "read committed"),
            // Every query here has its index. While the tables are small the planner would rather scan them, and
            // then keep that plan as they grow.
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            // Compiling a statement takes a hundred times longer than running one of ours. The planner would do it,
            // since a scan that is off counts as endlessly expensive, and `log_head` is scanned: it is one page.
            ("jit", "off"),
        ]);
        Ok(Self { options, limits: limits.clone() })
    }

    pub(super) async fn connect(&self, purpose: Purpose) -> Result<PgConnection, Failure> {
        let limit = self.limits.connect_timeout;
        let options = self.options(purpose);
        let connection = timeout(limit, PgConnection::connect_with(&options)).await;
        connection.map_err(|_| Failure::no_connection_within(limit))?.map_err(Failure::no_connection)
    }

    /// The pool takes what the `reserved` connections leave of the maximum.
    pub(super) fn pool(&self, reserved: u32) -> PgPool {
        let limits = &self.limits;
        let max = limits.connections_max.get().saturating_sub(reserved).max(1);
        PgPoolOptions::new()
            .min_connections(limits.connections_min.min(max))
            .max_connections(max)
            .idle_timeout(limits.idle_timeout)
            .acquire_timeout(limits.connect_timeout)
            // Asking each time would double the round trips.
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move { Ok(used.idle_for < TRUSTED || connection.ping().await.is_ok()) })
            })
            .connect_lazy_with(self.options(Purpose::Read))
    }

    /// How long to wait for an answer: the server gives up before, so then the server or the way to it is gone.
    pub(super) fn patience(&self) -> Duration {
        self.limits.statement_timeout + self.limits.connect_timeout
    }

    fn options(&self, purpose: Purpose) -> PgConnectOptions {
        // Whatever the server's default: an append is durable when it is answered. Only snapshots are written by
        // others, and those may get lost.
        let synchronous_commit = if purpose == Purpose::Read { "off" } else { "on" };
        let options = self.options.clone().application_name(purpose.application_name());
        options.options([("synchronous_commit", synchronous_commit)])
    }
}

/// A connection for one purpose, opened when it is needed, and dropped whenever something went wrong on it.
#[derive(Debug)]
pub(super) struct Session {
    server: Server,
    purpose: Purpose,
    connection: Mutex<Option<Idle>>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Idle {
    /// The connection, if it still stands.
    async fn wake(self, patience: Duration) -> Option<PgConnection> {
        let Self { mut connection, since } = self;
        if since.elapsed() < TRUSTED {
            return Some(connection);
        }
        matches!(timeout(patience, connection.ping()).await, Ok(Ok(()))).then_some(connection)
    }
}

impl Session {
    pub(super) fn new(server: Server, purpose: Purpose) -> Self {
        Self { server, purpose, connection: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// The connection, for one statement.
    pub(super) async fn open(&self) -> Result<Held<'_>, Failure> {
        let mut place = self.connection.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::closed());
        }
        let standing = match place.take() {
            Some(idle) => idle.wake(self.server.limits.connect_timeout).await,
            None => None,
        };
        let connection = match standing {
            Some(connection) => connection,
            None => self.server.connect(self.purpose).await?,
        };
        Ok(Held { place, connection })
    }

    /// A new connection; the one before, if any, is dropped first.
    pub(super) async fn open_anew(&self) -> Result<Held<'_>, Failure> {
        drop(self.connection.lock().await.take());
        self.open().await
    }

    pub(super) fn is_open(&self) -> bool {
        // Locked means in use.
        self.connection.try_lock().map_or(true, |connection| connection.is_some())
    }

    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(Idle { connection, .. }) = self.connection.lock().await.take() {
            // Saying goodbye is a courtesy: the server notices anyway.
            _ = timeout(self.server.limits.connect_timeout, connection.close()).await;
        }
    }
}

/// A connection in use. Unless it is [kept](Self::keep), it is dropped: after an error or an answer not waited for,
/// nobody knows what would come next on it.
pub(super) struct Held<'a> {
    place: MutexGuard<'a, Option<Idle>>,
    connection: PgConnection,
}

impl Held<'_> {
    pub(super) fn keep(self) {
        let Self { mut place, connection } = self;
        *place = Some(Idle { connection, since: Instant::now() });
    }
}

impl Deref for Held<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

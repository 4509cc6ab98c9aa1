//! Connections: a few for each purpose, so that readers cannot hold up the writer.
//!
//! sqlx's own pool tests each connection that is given back, and waits for the result without a limit. If the network
//! drops all packets, the pool loses all of its connections in this way and never gets them back.
//!
//! Background task: `maintain`, one for each [`Sessions::kept`]; it ends when the sessions are closed or dropped.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::server::{Purpose, Server};

/// A query in progress. A query is a plain function of its arguments, because no signature can say of a closure that
/// borrows them that its future is `Send`.
pub type QueryFuture<'q, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'q>>;

/// A connection that was idle for longer is tested before it is used: the server may have been restarted meanwhile.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Connections for one purpose, opened on demand up to a limit. A connection is dropped after any error on it.
#[derive(Debug)]
pub struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    purpose: Purpose,
    max: u32,
    /// The runtime that polls the sockets, whichever runtime uses the connections.
    runtime: Handle,
    /// One permit for each connection in use.
    permits: Semaphore,
    /// The connection that was used last is at the end, and is taken first.
    idle: Mutex<Vec<Idle>>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    opened: Instant,
    since: Instant,
}

impl Sessions {
    /// At most `max` connections, and at least one.
    #[must_use]
    pub fn new(server: Server, purpose: Purpose, max: u32) -> Self {
        let max = max.max(1);
        let (permits, idle) = (Semaphore::new(max as usize), Mutex::default());
        let (runtime, closed) = (Handle::current(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { server, purpose, max, runtime, permits, idle, closed }) }
    }

    /// The same, but `connections_min` connections are kept open while they are idle.
    #[must_use]
    pub fn kept(server: Server, purpose: Purpose, max: u32) -> Self {
        let sessions = Self::new(server, purpose, max);
        tokio::spawn(maintain(Arc::downgrade(&sessions.shared)));
        sessions
    }

    /// A connection, for one statement or transaction.
    ///
    /// # Errors
    /// If there is none in time, or if the sessions are closed.
    pub async fn open(&self) -> Result<Session<'_>, Failure> {
        let permit = self.shared.permit().await?;
        while let Some(Idle { mut connection, opened, since }) = self.shared.take() {
            if self.shared.is_alive(&mut connection, opened, since).await {
                return Ok(Session { sessions: &self.shared, permit, connection, opened, is_new: false });
            }
        }
        self.shared.connect(permit).await
    }

    /// A new connection. All idle connections are dropped first.
    ///
    /// # Errors
    /// If there is none in time, or if the sessions are closed.
    pub async fn open_new(&self) -> Result<Session<'_>, Failure> {
        let permit = self.shared.permit().await?;
        self.shared.idle().clear();
        self.shared.connect(permit).await
    }

    /// Runs a statement with a limit of time, since a server that vanished sends nothing.
    ///
    /// # Errors
    /// The error of the statement; [`Failure::Lost`] if there was no reply in time.
    pub async fn run<T, E>(&self, statement: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let Shared { server, purpose, .. } = &*self.shared;
        let patience = server.patience(purpose);
        let result = timeout(patience, statement).await;
        let result = result.map_or_else(|_| Err(Failure::no_reply_within(patience)), |result| Ok(result?));
        if matches!(result, Err(Failure::Lost(_))) {
            server.doubt();
        }
        result
    }

    /// Runs a query that may run twice: a read, or a write that can be repeated. If its connection turns out to be
    /// dead, the query runs once more, on a new connection.
    ///
    /// # Errors
    /// The error of the query.
    pub async fn ask<A: Sync, T>(
        &self,
        arguments: A,
        query: for<'q> fn(&'q mut PgConnection, &'q A) -> QueryFuture<'q, T>,
    ) -> Result<T, Failure> {
        let mut session = self.open().await?;
        let mut result = self.run(query(&mut session, &arguments)).await;
        if matches!(result, Err(Failure::Lost(_))) {
            let Some(renewed) = session.renewed().await? else { return result };
            session = renewed;
            result = self.run(query(&mut session, &arguments)).await;
        }
        if result.is_ok() {
            session.keep();
        }
        result
    }

    /// How many connections are open, and how many there may be.
    #[must_use]
    pub fn count(&self) -> (u32, u32) {
        let Shared { max, permits, .. } = &*self.shared;
        let in_use = *max as usize - permits.available_permits();
        // A connection that is being given back counts twice for a moment.
        let open = in_use + self.shared.idle().len();
        (open.try_into().unwrap_or(*max).min(*max), *max)
    }

    /// Waits for the connections in use, with a limit of time, and closes the idle ones.
    pub async fn close(&self) {
        let Shared { server, purpose, max, permits, closed, .. } = &*self.shared;
        closed.store(true, Ordering::Release);
        // Past this time the statements in progress get no result.
        let _all = timeout(server.patience(purpose), permits.acquire_many(*max)).await;
        while let Some(Idle { connection, .. }) = self.shared.take() {
            // The server also notices a connection that is only dropped.
            _ = timeout(server.limits().connect_timeout, connection.close()).await;
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Idle> {
        self.idle().pop()
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let limit = if self.purpose.is_urgent {
            self.server.patience(&self.purpose)
        } else {
            self.server.limits().connect_timeout
        };
        let permit = timeout(limit, self.permits.acquire()).await.map_err(|_| Failure::no_connection_within(limit))?;
        let permit = permit.map_err(|_| Failure::closed())?;
        if self.closed.load(Ordering::Acquire) { Err(Failure::closed()) } else { Ok(permit) }
    }

    async fn connect<'a>(&'a self, permit: SemaphorePermit<'a>) -> Result<Session<'a>, Failure> {
        let (server, purpose) = (self.server.clone(), self.purpose);
        // A set of one task: if the caller drops this future, the task is aborted and the permit is returned.
        let mut connecting = JoinSet::new();
        connecting.spawn_on(async move { server.connect(&purpose).await }, &self.runtime);
        let connection = connecting.join_next().await.and_then(Result::ok).ok_or_else(Failure::closed)??;
        Ok(Session { sessions: self, permit, connection, opened: Instant::now(), is_new: true })
    }

    async fn is_alive(&self, connection: &mut PgConnection, opened: Instant, since: Instant) -> bool {
        if self.server.is_doubted(opened) {
            return false;
        }
        if since.elapsed() < TRUSTED_IDLE {
            return true;
        }
        let is_alive = matches!(timeout(self.server.limits().connect_timeout, connection.ping()).await, Ok(Ok(())));
        if !is_alive {
            self.server.doubt();
        }
        is_alive
    }

    /// Closes connections that were idle for long, and opens those that `connections_min` asks for.
    async fn adjust_idle(&self) {
        let limits = self.server.limits();
        let min = limits.connections_min.min(self.max) as usize;
        {
            let mut idle = self.idle();
            let is_stale = |idle: &Idle| idle.since.elapsed() >= limits.idle_timeout;
            let stale = idle.iter().take_while(|idle| is_stale(idle)).count();
            let superfluous = idle.len().saturating_sub(min).min(stale);
            idle.drain(..superfluous);
        }
        while self.idle().len() < min && !self.closed.load(Ordering::Acquire) {
            let Ok(permit) = self.permits.try_acquire() else { return };
            // If the server is down, the next caller that needs a connection reports it.
            let Ok(session) = self.connect(permit).await else { return };
            session.keep();
        }
    }
}

/// Adjusts the idle connections every `idle_timeout`, until the sessions are dropped or closed.
async fn maintain(sessions: Weak<Shared>) {
    while let Some(shared) = sessions.upgrade() {
        if shared.closed.load(Ordering::Acquire) {
            return;
        }
        shared.adjust_idle().await;
        let pause = shared.server.limits().idle_timeout;
        drop(shared);
        sleep(pause).await;
    }
}

/// A connection in use. It is dropped unless it is [kept](Self::keep): after an error, or if its user did not wait for
/// the result, the next reply on it may belong to an earlier statement.
#[derive(Debug)]
pub struct Session<'a> {
    sessions: &'a Shared,
    permit: SemaphorePermit<'a>,
    connection: PgConnection,
    opened: Instant,
    is_new: bool,
}

impl Session<'_> {
    /// Gives the connection back for other users.
    pub fn keep(self) {
        let Self { sessions, permit, connection, opened, .. } = self;
        sessions.idle().push(Idle { connection, opened, since: Instant::now() });
        // Last, so that the next caller that gets the permit finds the connection.
        drop(permit);
    }

    /// A new connection in place of one that was used before. `None` if this connection is new itself: what fails on it
    /// would fail on another.
    async fn renewed(self) -> Result<Option<Self>, Failure> {
        let Self { sessions, permit, connection, is_new, .. } = self;
        drop(connection);
        if is_new { Ok(None) } else { sessions.connect(permit).await.map(Some) }
    }
}

impl Deref for Session<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

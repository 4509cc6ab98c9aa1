//! Connections: few for each purpose, so that nobody holds up who must not wait.
//!
//! Not sqlx's own pool: it asks each connection that comes back whether it still stands, and waits for that without an
//! end. On a wire that went silent all of its places are lost that way, for ever.

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

/// A question under way. It is a function of what it asks about, since no signature says of a closure that borrows that
/// its future can be sent.
pub type Asking<'q, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'q>>;

/// A connection that was idle for longer is asked whether it still stands before it is used: the server may have been
/// restarted meanwhile.
const TRUSTED: Duration = Duration::from_secs(1);

/// Connections for one purpose, opened when they are needed, up to a limit, and dropped whenever something went wrong
/// on them.
#[derive(Debug)]
pub struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    purpose: Purpose,
    max: u32,
    /// Where the sockets are watched, whoever needs the connections.
    home: Handle,
    /// One for each connection in use.
    places: Semaphore,
    /// The one used last is at the end, and is taken first.
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
    /// At most `max` connections; at least one.
    #[must_use]
    pub fn new(server: Server, purpose: Purpose, max: u32) -> Self {
        let max = max.max(1);
        let (places, idle) = (Semaphore::new(max as usize), Mutex::default());
        let (home, closed) = (Handle::current(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { server, purpose, max, home, places, idle, closed }) }
    }

    /// The same, with some kept open while nobody uses them.
    #[must_use]
    pub fn kept(server: Server, purpose: Purpose, max: u32) -> Self {
        let sessions = Self::new(server, purpose, max);
        tokio::spawn(maintain(Arc::downgrade(&sessions.shared)));
        sessions
    }

    /// A connection, for one statement or transaction.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn open(&self) -> Result<Held<'_>, Failure> {
        let place = self.shared.place().await?;
        while let Some(Idle { mut connection, opened, since }) = self.shared.take() {
            if self.shared.still_stands(&mut connection, opened, since).await {
                return Ok(Held { sessions: &self.shared, place, connection, opened, is_new: false });
            }
        }
        self.shared.connect(place).await
    }

    /// A new connection; those that are idle, if any, are dropped first.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn open_anew(&self) -> Result<Held<'_>, Failure> {
        let place = self.shared.place().await?;
        self.shared.idle().clear();
        self.shared.connect(place).await
    }

    /// Waits for an answer, but not for ever: a server that vanished says nothing.
    ///
    /// # Errors
    /// What the statement brought instead of a result; [`Failure::Lost`] if it brought nothing.
    pub async fn answer<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let Shared { server, purpose, .. } = &*self.shared;
        let patience = server.patience(purpose);
        let answered = timeout(patience, answer).await;
        let answered = answered.map_or_else(|_| Err(Failure::no_answer_within(patience)), |found| Ok(found?));
        if matches!(answered, Err(Failure::Lost(_))) {
            server.doubt();
        }
        answered
    }

    /// Asks what changes nothing. A connection that turns out to be dead is no answer: then it asks once more, on a new
    /// one.
    ///
    /// # Errors
    /// What the question brought instead of an answer.
    pub async fn ask<A: Sync, T>(
        &self,
        about: A,
        question: for<'q> fn(&'q mut PgConnection, &'q A) -> Asking<'q, T>,
    ) -> Result<T, Failure> {
        let mut session = self.open().await?;
        let mut answer = self.answer(question(&mut session, &about)).await;
        if matches!(answer, Err(Failure::Lost(_))) {
            let Some(renewed) = session.renewed().await? else { return answer };
            session = renewed;
            answer = self.answer(question(&mut session, &about)).await;
        }
        if answer.is_ok() {
            session.keep();
        }
        answer
    }

    /// How many there are, and may be.
    #[must_use]
    pub fn count(&self) -> (u32, u32) {
        let Shared { max, places, .. } = &*self.shared;
        let in_use = *max as usize - places.available_permits();
        // One that is being given back counts on both sides for a moment.
        let open = in_use + self.shared.idle().len();
        (open.try_into().unwrap_or(*max).min(*max), *max)
    }

    /// Waits for those in use, but not for ever, and says goodbye to the rest.
    pub async fn close(&self) {
        let Shared { server, purpose, max, places, closed, .. } = &*self.shared;
        closed.store(true, Ordering::Release);
        // Whoever holds one gets an answer, but nobody waits for those that get none.
        let _all = timeout(server.patience(purpose), places.acquire_many(*max)).await;
        while let Some(Idle { connection, .. }) = self.shared.take() {
            // A courtesy: the server notices anyway.
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

    async fn place(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let limit = if self.purpose.is_urgent {
            self.server.patience(&self.purpose)
        } else {
            self.server.limits().connect_timeout
        };
        let place = timeout(limit, self.places.acquire()).await.map_err(|_| Failure::no_connection_within(limit))?;
        let place = place.map_err(|_| Failure::closed())?;
        if self.closed.load(Ordering::Acquire) { Err(Failure::closed()) } else { Ok(place) }
    }

    async fn connect<'a>(&'a self, place: SemaphorePermit<'a>) -> Result<Held<'a>, Failure> {
        let (server, purpose) = (self.server.clone(), self.purpose);
        // Given up together with its caller, who gives the place back.
        let mut connecting = JoinSet::new();
        connecting.spawn_on(async move { server.connect(&purpose).await }, &self.home);
        let connection = connecting.join_next().await.and_then(Result::ok).ok_or_else(Failure::closed)??;
        Ok(Held { sessions: self, place, connection, opened: Instant::now(), is_new: true })
    }

    async fn still_stands(&self, connection: &mut PgConnection, opened: Instant, since: Instant) -> bool {
        if self.server.is_doubted(opened) {
            return false;
        }
        if since.elapsed() < TRUSTED {
            return true;
        }
        let stands = matches!(timeout(self.server.limits().connect_timeout, connection.ping()).await, Ok(Ok(())));
        if !stands {
            self.server.doubt();
        }
        stands
    }

    /// Closes what nobody has used for long, and opens what is missing.
    async fn tidy(&self) {
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
            let Ok(place) = self.places.try_acquire() else { return };
            // A server that is down is found out about by whoever needs it.
            let Ok(held) = self.connect(place).await else { return };
            held.keep();
        }
    }
}

/// Runs until the sessions are dropped or closed.
async fn maintain(sessions: Weak<Shared>) {
    while let Some(shared) = sessions.upgrade() {
        if shared.closed.load(Ordering::Acquire) {
            return;
        }
        shared.tidy().await;
        let pause = shared.server.limits().idle_timeout;
        drop(shared);
        sleep(pause).await;
    }
}

/// A connection in use. Unless it is [kept](Self::keep), it is dropped: after an error or an answer not waited for,
/// nobody knows what would come next on it.
#[derive(Debug)]
pub struct Held<'a> {
    sessions: &'a Shared,
    place: SemaphorePermit<'a>,
    connection: PgConnection,
    opened: Instant,
    is_new: bool,
}

impl Held<'_> {
    /// Gives it back, for others to use.
    pub fn keep(self) {
        let Self { sessions, place, connection, opened, .. } = self;
        sessions.idle().push(Idle { connection, opened, since: Instant::now() });
        // Only now: whoever gets the place finds the connection.
        drop(place);
    }

    /// A new connection in place of one that was used before. A new one is not replaced: what fails on it would fail on
    /// another.
    pub(super) async fn renewed(self) -> Result<Option<Self>, Failure> {
        let Self { sessions, place, connection, is_new, .. } = self;
        drop(connection);
        if is_new { Ok(None) } else { sessions.connect(place).await.map(Some) }
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

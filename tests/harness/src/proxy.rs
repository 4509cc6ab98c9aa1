//! A proxy on the connection to PostgreSQL. It can delay, cut or swallow the traffic, at once or at a chosen moment of
//! a statement.

mod frames;
mod link;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use link::Link;

/// A proxy in front of a PostgreSQL server. When it is dropped, it closes every connection through it.
#[derive(Debug)]
pub struct Proxy {
    wire: Arc<Wire>,
    address: SocketAddr,
    url: String,
}

/// The direction of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To PostgreSQL.
    Requests,
    /// From PostgreSQL.
    Answers,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In order, as when a process is killed.
    Fin,
    /// With a reset, as by a machine that does not know the connection.
    Reset,
}

/// The moment of a statement at which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server receives it: the statement never happens.
    BeforeRequest,
    /// The server has executed the statement and holds its locks, but has not received the end of the request, on which
    /// it commits.
    BeforeCommit,
    /// The server has committed and answered, but the answer has not arrived.
    BeforeAnswer,
}

/// The fault that strikes a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut on both sides.
    Cut(Cut),
    /// All connections become silent, as by [`Proxy::go_silent`].
    Silence,
    /// Its bytes are held back until [`Proxy::restore`], also if their sender has ended by then.
    Hold,
}

#[derive(Debug, Default)]
struct Wire {
    server: String,
    state: Mutex<State>,
    restored: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delays: [Duration; 2],
    silent: [bool; 2],
    refuses: bool,
    trap: Option<Trap>,
    /// Counts calls of [`Proxy::restore`]; threads wait for the next one.
    restorations: u64,
    links: Vec<Weak<Link>>,
    /// Links whose client has closed, but whose server has not been told.
    forgotten: Vec<Arc<Link>>,
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Trap {
    statement: &'static str,
    moment: Moment,
    fault: Fault,
}

impl Proxy {
    /// A proxy in front of the server of a database's URL.
    ///
    /// # Panics
    /// When the URL has no host and port.
    #[must_use]
    pub fn before(url: &str) -> Self {
        let (user, rest) = url.split_once('@').expect("the URL names a user");
        let (server, database) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let wire = Arc::new(Wire { server: server.to_owned(), ..Wire::default() });
        thread::spawn({
            let wire = Arc::clone(&wire);
            move || wire.accept(&listener)
        });
        Self { wire, address, url: format!("{user}@{address}/{database}") }
    }

    /// The URL of the same database through this proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, all traffic in this direction is delayed by this time.
    pub fn delay(&self, way: Direction, delay: Duration) {
        self.wire.lock().delays[way as usize] = delay;
    }

    /// Cuts all connections.
    pub fn cut(&self, how: Cut) {
        self.wire.lock().links().for_each(|link| link.cut(how));
    }

    /// From now on, all connections, also new ones, stay open and swallow the traffic in this direction, including the
    /// end of a connection: each side believes that the other is still connected. Bytes are missing in these
    /// connections afterwards, so they stay unusable.
    pub fn go_silent(&self, way: Direction) {
        self.wire.lock().fall_silent(&[way]);
    }

    /// From now on, every new connection is accepted and reset at once.
    pub fn refuse(&self) {
        self.wire.lock().refuses = true;
        self.cut(Cut::Reset);
    }

    /// New connections work again, and traffic that was held back continues.
    pub fn restore(&self) {
        let mut state = self.wire.lock();
        (state.delays, state.silent, state.refuses) = (<_>::default(), <_>::default(), false);
        state.restorations += 1;
        self.wire.restored.notify_all();
    }

    /// Strikes the next statement that contains this text.
    pub fn strike(&self, statement: &'static str, moment: Moment, fault: Fault) {
        self.wire.lock().trap = Some(Trap { statement, moment, fault });
    }

    /// Whether the fault has struck.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.wire.lock().trap.is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.lock().closed = true;
        self.restore();
        self.cut(Cut::Fin);
        self.wire.lock().forgotten.clear();
        // Wakes the listener, which then ends. It may have ended already if this process had no free file descriptors.
        _ = TcpStream::connect(self.address);
    }
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let (closed, refuses, silent) = {
                let state = self.lock();
                (state.closed, state.refuses, state.silent)
            };
            if closed {
                return;
            }
            // The client may have closed again, or the server may be down: both look like a refusal.
            let Ok(client) = client else { continue };
            let server = if refuses { None } else { TcpStream::connect(&self.server).ok() };
            let Some(server) = server else {
                link::reset(client);
                continue;
            };
            let link = Arc::new(Link::new(client, server, silent));
            let mut state = self.lock();
            state.links.retain(|link| link.strong_count() > 0);
            state.links.push(Arc::downgrade(&link));
            drop(state);
            let other = (Arc::clone(self), Arc::clone(&link));
            thread::spawn(move || other.1.carry_requests(&other.0));
            let wire = Arc::clone(self);
            thread::spawn(move || link.carry_answers(&wire));
        }
    }

    fn wait_for_restoration(&self, state: MutexGuard<'_, State>) {
        let before = state.restorations;
        // A poisoned lock is usable, because no change under it can be left half done.
        let waited = self.restored.wait_while(state, |state| state.restorations == before && !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn links(&self) -> impl Iterator<Item = Arc<Link>> {
        self.links.iter().filter_map(Weak::upgrade)
    }

    fn fall_silent(&mut self, ways: &[Direction]) {
        for way in ways {
            self.silent[*way as usize] = true;
            self.links().for_each(|link| link.fall_silent(*way));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{Postgres, eventually};

    const INSERT: &str = "INSERT INTO t VALUES (1)";

    struct Stage {
        postgres: &'static Postgres,
        direct: String,
        proxy: Proxy,
    }

    impl Stage {
        fn new() -> Self {
            let postgres = Postgres::shared();
            let direct = postgres.create_database();
            postgres.query(&direct, "CREATE TABLE t (n int)");
            Self { postgres, proxy: Proxy::before(&direct), direct }
        }

        fn insert(&self) -> bool {
            self.postgres.psql(self.proxy.url(), INSERT).status.success()
        }

        fn rows(&self) -> String {
            self.postgres.query(&self.direct, "SELECT count(*) FROM t")
        }
    }

    #[test]
    fn a_statement_is_cut_before_it_happened_or_after() {
        let stage = Stage::new();
        assert!(stage.insert());
        for cut in [Cut::Fin, Cut::Reset] {
            stage.proxy.strike(INSERT, Moment::BeforeRequest, Fault::Cut(cut));
            assert!(!stage.insert());
            assert!(stage.proxy.has_struck());
        }
        assert_eq!(stage.rows(), "1");
        for cut in [Cut::Fin, Cut::Reset] {
            stage.proxy.strike(INSERT, Moment::BeforeAnswer, Fault::Cut(cut));
            assert!(!stage.insert());
        }
        assert_eq!(stage.rows(), "3");
        assert!(stage.insert());
    }

    #[test]
    fn a_statement_that_is_held_back_arrives_later() {
        let stage = Stage::new();
        stage.proxy.strike(INSERT, Moment::BeforeRequest, Fault::Hold);
        thread::scope(|scope| {
            let inserted = scope.spawn(|| stage.insert());
            eventually("the statement", Duration::from_secs(60), || stage.proxy.has_struck());
            assert_eq!(stage.rows(), "0");
            stage.proxy.restore();
            assert!(inserted.join().unwrap());
        });
        assert_eq!(stage.rows(), "1");
    }

    #[test]
    fn a_silent_wire_swallows_everything_until_new_connections_are_good_again() {
        let stage = Stage::new();
        stage.proxy.strike(INSERT, Moment::BeforeAnswer, Fault::Silence);
        thread::scope(|scope| {
            let lost = scope.spawn(|| stage.insert());
            eventually("the silence", Duration::from_secs(60), || stage.proxy.has_struck());
            let unheard = scope.spawn(|| stage.insert());
            eventually("both to be connected", Duration::from_secs(60), || {
                stage.proxy.wire.lock().links().count() == 2
            });
            stage.proxy.restore();
            // Neither statement gets an answer.
            let good = stage.insert();
            let told = lost.is_finished() || unheard.is_finished();
            // Ends both connections before the assertions, so that no thread waits for ever.
            stage.proxy.cut(Cut::Reset);
            assert!(good && !told);
            assert!(!lost.join().unwrap() && !unheard.join().unwrap());
        });
        assert_eq!(stage.rows(), "2");
    }

    #[test]
    fn a_slow_wire_is_slow_and_a_refusing_one_refuses() {
        const SLOW: Duration = Duration::from_millis(100);
        let stage = Stage::new();
        stage.proxy.delay(Direction::Answers, SLOW);
        let started = Instant::now();
        assert!(stage.insert());
        assert!(started.elapsed() > SLOW);

        stage.proxy.refuse();
        assert!(!stage.insert());
        stage.proxy.restore();
        assert!(stage.insert());
    }
}

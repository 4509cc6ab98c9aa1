//! The wire to PostgreSQL, which can be slowed down, cut, or made to swallow what is sent: at once, or at the worst
//! moment of a statement.

mod frames;
mod link;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use link::Link;

/// A proxy in front of a PostgreSQL server. Dropping it closes every connection through it.
#[derive(Debug)]
pub struct Proxy {
    wire: Arc<Wire>,
    address: SocketAddr,
    url: String,
}

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To PostgreSQL.
    Requests,
    /// From PostgreSQL.
    Answers,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In good order, as by a process that was killed.
    Fin,
    /// With a reset, as by a machine that knows nothing of the connection.
    Reset,
}

/// When a statement is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server hears of it: it never happens.
    BeforeRequest,
    /// The server has carried it out, with all the locks that takes, but was not told yet to commit.
    BeforeCommit,
    /// The server has committed it and has said so, but the answer has not arrived.
    BeforeAnswer,
}

/// What happens to a statement that is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its connection is cut, on both sides.
    Cut(Cut),
    /// The whole wire goes silent, as by [`Proxy::go_silent`].
    Silence,
    /// Its bytes are kept back until [`Proxy::restore`], whatever becomes of whoever sent them.
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
    /// Counts calls of [`Proxy::restore`], for who waits for the next.
    restorations: u64,
    links: Vec<Weak<Link>>,
    /// Links whose client has gone without the server hearing of it.
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
    /// When the URL names no host and port.
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

    /// From now on, everything that goes this way takes so much longer.
    pub fn delay(&self, way: Direction, delay: Duration) {
        self.wire.lock().delays[way as usize] = delay;
    }

    /// Cuts all connections.
    pub fn cut(&self, how: Cut) {
        self.wire.lock().links().for_each(|link| link.cut(how));
    }

    /// From now on all connections, and new ones, stay open and swallow what goes this way, their end included: each
    /// side believes that the other is there. Connections that lived through it are never good for anything again.
    pub fn go_silent(&self, way: Direction) {
        self.wire.lock().fall_silent(&[way]);
    }

    /// From now on, cuts and resets whoever connects.
    pub fn refuse(&self) {
        self.wire.lock().refuses = true;
        self.cut(Cut::Reset);
    }

    /// New connections are good again, and what was held back goes on.
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

    /// Whether what was to be struck has been.
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
        // Wakes the listener, which then finds that it is over. It may be gone if this process ran out of files.
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
            // A client that has gone again, or a server that is down: both look like a refusal.
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
        // A poisoned lock is as good as any: nothing is left half done under it.
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
            eventually("the statement", Duration::from_secs(10), || stage.proxy.has_struck());
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
            eventually("the silence", Duration::from_secs(10), || stage.proxy.has_struck());
            let unheard = scope.spawn(|| stage.insert());
            eventually("both to be connected", Duration::from_secs(10), || {
                stage.proxy.wire.lock().links().count() == 2
            });
            stage.proxy.restore();
            // Neither is told anything, whatever becomes of the wire.
            let good = stage.insert();
            let told = lost.is_finished() || unheard.is_finished();
            // Whatever was found: nobody is left waiting.
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

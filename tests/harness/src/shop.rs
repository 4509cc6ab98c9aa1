//! A shop with many clients: the load that faults strike, and that is checked afterwards.
//!
//! Each client has orders of its own and shares the stock with all others: one history where commands of many meet, and
//! many histories that are short. It sends each command until its outcome is known, always with the same key, reads
//! now and then what it was just answered about, and writes everything into the [`Ledger`].

mod client;
mod models;
mod reader;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Ledger, eventually};
use client::ClientAtWork;
pub(crate) use models::{comparable, open as model_of};
use reader::Reader;

const CLIENTS: usize = 64;

/// Few, so that commands of many clients meet at one; more than one, so that they fall asleep and wake.
const SKUS: usize = 12;

/// A client that waits longer for an answer hangs up, and tries again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client keeps trying to get one command answered: longer than any outage in a test.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);

/// Clients stop by themselves after so many commands together: a test that forgets to close its shop ends as well.
const MOST_COMMANDS: usize = 1_000_000;

/// How long to wait for acknowledgements under load. Without a fault they come by the hundred each second.
const ACKNOWLEDGEMENT_BOUND: Duration = Duration::from_secs(60);

/// The shop while it is open. Dropping it sends the clients home.
#[derive(Debug)]
pub struct Shop {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// How to open a [`Shop`].
#[derive(Debug, Clone)]
pub struct ShopBuilder {
    name: String,
    clients: usize,
    readers: usize,
    skus: usize,
    commands: usize,
    patience: Duration,
    longest_outage: Duration,
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    settings: ShopBuilder,
    ledger: Arc<Ledger>,
    place: Mutex<Place>,
    moved: Condvar,
    closing: AtomicBool,
    sent: AtomicUsize,
    acknowledged: AtomicUsize,
    /// Why the first client gave up that did.
    failure: OnceLock<String>,
}

/// Where the server is.
#[derive(Debug, Clone)]
struct Place {
    url: String,
    /// How often it has moved.
    moves: u64,
}

impl Shop {
    /// 64 clients, twelve skus, no readers.
    #[must_use]
    pub fn builder() -> ShopBuilder {
        ShopBuilder {
            name: "shop".to_owned(),
            clients: CLIENTS,
            readers: 0,
            skus: SKUS,
            commands: MOST_COMMANDS,
            patience: PATIENCE,
            longest_outage: LONGEST_OUTAGE,
        }
    }

    /// As built by default, at this server.
    #[must_use]
    pub fn open(url: &str) -> Self {
        Self::builder().open(url)
    }

    /// The server answers at another address now, or at the same one again.
    pub fn moved_to(&self, url: &str) {
        let mut place = self.shared.place();
        *place = Place { url: url.to_owned(), moves: place.moves + 1 };
        self.shared.moved.notify_all();
    }

    /// How many commands were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until so many more commands are acknowledged.
    ///
    /// # Panics
    /// When they are not within a minute, or a client gave up.
    #[track_caller]
    pub fn wait_for_acknowledgements(&self, count: usize) {
        let enough = self.acknowledged() + count;
        eventually("an answer to the clients", ACKNOWLEDGEMENT_BOUND, || {
            self.expect_no_failure();
            self.acknowledged() >= enough
        });
    }

    /// What was recorded so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Lets every client finish the attempt it is at, and gives what they wrote down.
    ///
    /// # Panics
    /// When a client gave up: it got no answer for too long.
    #[must_use]
    #[track_caller]
    pub fn close(mut self) -> Arc<Ledger> {
        self.shared.stop_clients();
        for client in self.clients.drain(..) {
            if let Err(panic) = client.join() {
                std::panic::resume_unwind(panic);
            }
        }
        self.expect_no_failure();
        Arc::clone(&self.shared.ledger)
    }

    #[track_caller]
    fn expect_no_failure(&self) {
        if let Some(failure) = self.shared.failure.get() {
            panic!("{failure}");
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.ledger.keep();
        }
        self.shared.stop_clients();
    }
}

impl ShopBuilder {
    /// Begins the names of orders and keys: shops of different names can be open at one server, and share its stock.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many clients there are, each with one request at a time.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// How many more there are who only look at the stock, again and again. None by default: clients read as well.
    #[must_use]
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// How many skus the clients share.
    #[must_use]
    pub const fn skus(mut self, skus: usize) -> Self {
        self.skus = skus;
        self
    }

    /// How many commands the clients send together before they go home by themselves.
    #[must_use]
    pub const fn commands(mut self, commands: usize) -> Self {
        self.commands = commands;
        self
    }

    /// How long a client waits for an answer before it hangs up and tries again.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long a client tries to get one command answered before it gives up, which fails the test.
    #[must_use]
    pub const fn longest_outage(mut self, longest_outage: Duration) -> Self {
        self.longest_outage = longest_outage;
        self
    }

    /// Opens it at this server.
    #[must_use]
    pub fn open(self, url: &str) -> Shop {
        let (clients, readers) = (self.clients, self.readers);
        let shared = Arc::new(Shared {
            settings: self,
            ledger: Arc::new(Ledger::new()),
            place: Mutex::new(Place { url: url.to_owned(), moves: 0 }),
            moved: Condvar::new(),
            closing: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
            failure: OnceLock::new(),
        });
        let client = |number| {
            let client = ClientAtWork::new(number, Arc::clone(&shared));
            thread::spawn(|| client.work())
        };
        let reader = |number| {
            let reader = Reader::new(number, Arc::clone(&shared));
            thread::spawn(|| reader.look())
        };
        let clients = (0..clients).map(client).chain((0..readers).map(reader)).collect();
        Shop { shared, clients }
    }
}

impl Shared {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn stop_clients(&self) {
        let _place = self.place();
        self.closing.store(true, Ordering::SeqCst);
        self.moved.notify_all();
    }

    /// A client gives up, and the others need not go on.
    fn give_up(&self, failure: String) {
        // Of many that give up at once, one is enough.
        let _others = self.failure.set(failure);
        self.stop_clients();
    }

    /// Waits for so long, or until the server has moved from where it was after so many moves, or the shop closes.
    fn wait_for_move(&self, moves: u64, bound: Duration) {
        let waits = |place: &mut Place| place.moves == moves && !self.is_closing();
        // Whoever poisoned it has told why.
        let _waited = self.moved.wait_timeout_while(self.place(), bound, waits);
    }
}

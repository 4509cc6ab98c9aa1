//! A shop with many clients: the load that is checked after faults.
//!
//! Each client has its own orders, and shares the stock with all others. So there are long histories with commands of
//! many clients, and many short histories. A client sends each command with the same key until its outcome is known,
//! sometimes reads the aggregate of the last answer, and records everything in the [`Ledger`].

mod client;
mod messages;
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

/// Few, so that many clients send commands to the same one; more than one, so that they are unloaded and loaded again.
const SKUS: usize = 12;

/// If an answer takes longer, the client hangs up and tries again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client tries to get an answer to one command: longer than any outage in a test.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);

/// The clients stop after this many commands together, so that a test that does not close its shop ends too.
const MOST_COMMANDS: usize = 1_000_000;

/// The bound for acknowledgements under load. Without a fault, hundreds come per second.
const ACKNOWLEDGEMENT_BOUND: Duration = Duration::from_secs(60);

/// An open shop. When it is dropped, its clients stop.
#[derive(Debug)]
pub struct Shop {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// How to open a [`Shop`].
#[derive(Debug, Clone)]
pub struct ShopBuilder {
    script: Script,
    name: String,
    clients: usize,
    readers: usize,
    skus: usize,
    commands: usize,
    patience: Duration,
    longest_outage: Duration,
}

/// The commands that the clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Orders and their stock.
    Orders,
    /// Transfers between as many accounts as there are skus, and alarms: what aggregates send each other, and the times
    /// they wait for. Only [`failing_binary`](crate::failing_binary) has these aggregates.
    Messages,
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
    /// The reason why the first client gave up.
    failure: OnceLock<String>,
}

/// The address of the server.
#[derive(Debug, Clone)]
struct Place {
    url: String,
    /// How often the address has changed.
    moves: u64,
}

impl Shop {
    /// 64 clients that order, twelve skus, no readers.
    #[must_use]
    pub fn builder() -> ShopBuilder {
        ShopBuilder {
            script: Script::Orders,
            name: "shop".to_owned(),
            clients: CLIENTS,
            readers: 0,
            skus: SKUS,
            commands: MOST_COMMANDS,
            patience: PATIENCE,
            longest_outage: LONGEST_OUTAGE,
        }
    }

    /// Opens a shop with the default settings at this server.
    #[must_use]
    pub fn open(url: &str) -> Self {
        Self::builder().open(url)
    }

    /// Tells the clients the server's address after a restart, also if it is the same.
    pub fn moved_to(&self, url: &str) {
        let mut place = self.shared.place();
        *place = Place { url: url.to_owned(), moves: place.moves + 1 };
        self.shared.moved.notify_all();
    }

    /// The number of commands that were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until this many more commands are acknowledged.
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

    /// The records so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Lets every client finish its attempt in progress, and returns the records.
    ///
    /// # Panics
    /// When a client gave up, because it got no answer for too long.
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
    /// The commands that the clients send.
    #[must_use]
    pub const fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// The prefix of orders and keys. Shops with different names can be open at one server, and share its stock.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The number of clients, each with one request at a time.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// The number of additional clients that only read the stock again and again. None by default, because the other
    /// clients read too.
    #[must_use]
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// The number of skus that the clients share.
    #[must_use]
    pub const fn skus(mut self, skus: usize) -> Self {
        self.skus = skus;
        self
    }

    /// The number of commands after which the clients stop by themselves.
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

    /// How long a client tries to get an answer to one command before it gives up, which fails the test.
    #[must_use]
    pub const fn longest_outage(mut self, longest_outage: Duration) -> Self {
        self.longest_outage = longest_outage;
        self
    }

    /// Opens the shop at this server.
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

    /// Records that a client gave up, and stops the others.
    fn give_up(&self, failure: String) {
        // The first failure is enough.
        let _others = self.failure.set(failure);
        self.stop_clients();
    }

    /// Waits for this time, or until the server's address has changed, or the shop closes.
    fn wait_for_move(&self, moves: u64, bound: Duration) {
        let waits = |place: &mut Place| place.moves == moves && !self.is_closing();
        // The thread that poisoned the lock has reported its panic.
        let _waited = self.moved.wait_timeout_while(self.place(), bound, waits);
    }
}

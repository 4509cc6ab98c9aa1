//! What the senders of one aggregate were told, to be held against the journal.

use dormouse_journal::PageLimit;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_kernel::{Chain, Version};

use crate::world::{World, aggregate};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was carried out: the version after it.
    Done(u64),
    /// The domain refused it.
    Refused,
    /// Its sender gave up without an answer.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) name: &'static str,
    /// The highest version that anybody was told of.
    highest: AtomicU64,
    told: Mutex<HashMap<String, Told>>,
    /// Versions and totals that were read.
    read: Mutex<Vec<(u64, i64)>>,
}

impl Ledger {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, highest: AtomicU64::new(0), told: Mutex::default(), read: Mutex::default() }
    }

    /// Whatever is sent from now on comes after this version.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Ordering::SeqCst)
    }

    pub(crate) fn told(&self, key: String, told: Told) {
        if let Told::Done(version) = told {
            self.highest.fetch_max(version, Ordering::SeqCst);
        }
        assert!(self.told.lock().unwrap().insert(key, told).is_none());
    }

    pub(crate) fn read(&self, version: u64, total: i64) {
        self.highest.fetch_max(version, Ordering::SeqCst);
        self.read.lock().unwrap().push((version, total));
    }

    /// Holds everything against the journal. Every command added its number of events, each 1.
    pub(crate) async fn check(&self, world: &World) {
        let events = world
            .store
            .inner()
            .read_aggregate(&aggregate(self.name), Version::ZERO, PageLimit::events(10_000))
            .await
            .unwrap();
        let mut chain = Chain::ROOT;
        let mut commands: HashMap<String, Vec<u64>> = HashMap::new();
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.version.0, index as u64 + 1, "versions are dense");
            assert!(event.follows(chain), "the chain holds");
            chain = event.event.chain;
            if let Some(key) = &event.command_key {
                let made = event.metadata().unwrap().command.unwrap().events;
                let last = event.version.0 + u64::from(made) - 1;
                commands.entry(key.as_str().to_owned()).or_default().push(last);
            }
        }
        for (key, told) in &*self.told.lock().unwrap() {
            let found = commands.get(key).map_or(&[][..], Vec::as_slice);
            match told {
                Told::Done(version) => assert_eq!(found, [*version], "{key} was done once, as told"),
                Told::Refused => assert_eq!(found, [0; 0], "{key} was refused"),
                Told::Nothing => assert!(found.len() <= 1, "{key} was done {found:?}"),
            }
        }
        for (version, total) in &*self.read.lock().unwrap() {
            assert!(*version <= events.len() as u64, "version {version} was read, and is not durable");
            assert_eq!(*total, *version as i64, "the state is the fold of its events");
        }
    }
}

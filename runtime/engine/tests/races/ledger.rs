//! The outcomes that the senders of one aggregate have seen, to be compared to the journal.

use dormouse_journal::PageLimit;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_kernel::{Chain, Version};

use crate::world::{World, aggregate};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObservedOutcome {
    /// The command was carried out, with this version after it.
    Done(u64),
    /// The domain rejected the command.
    Refused,
    /// The sender gave up without an answer.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) name: &'static str,
    /// The highest version that any answer has named.
    highest: AtomicU64,
    outcomes: Mutex<HashMap<String, ObservedOutcome>>,
    /// Versions and totals that were read.
    read: Mutex<Vec<(u64, i64)>>,
}

impl Ledger {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, highest: AtomicU64::new(0), outcomes: Mutex::default(), read: Mutex::default() }
    }

    /// A command that is sent from now on gets a higher version than this.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Ordering::SeqCst)
    }

    pub(crate) fn record(&self, key: String, outcome: ObservedOutcome) {
        if let ObservedOutcome::Done(version) = outcome {
            self.highest.fetch_max(version, Ordering::SeqCst);
        }
        assert!(self.outcomes.lock().unwrap().insert(key, outcome).is_none());
    }

    pub(crate) fn record_read(&self, version: u64, total: i64) {
        self.highest.fetch_max(version, Ordering::SeqCst);
        self.read.lock().unwrap().push((version, total));
    }

    /// Compares everything to the journal. Every event adds 1.
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
        for (key, outcome) in &*self.outcomes.lock().unwrap() {
            let found = commands.get(key).map_or(&[][..], Vec::as_slice);
            match outcome {
                ObservedOutcome::Done(version) => {
                    assert_eq!(found, [*version], "{key} was carried out once, as answered")
                }
                ObservedOutcome::Refused => assert_eq!(found, [0; 0], "{key} was refused"),
                ObservedOutcome::Unknown => assert!(found.len() <= 1, "{key} was carried out as {found:?}"),
            }
        }
        for (version, total) in &*self.read.lock().unwrap() {
            assert!(*version <= events.len() as u64, "version {version} was read, and is not durable");
            assert_eq!(*total, *version as i64, "the state is the fold of its events");
        }
    }
}

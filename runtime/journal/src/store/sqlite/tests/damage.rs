//! Flipped bits on the disk: a read gives what was written, or an error, and never anything else.
//!
//! The chains are real here, because the reads of the journal check them.

use crate::page::PageLimit;
use std::collections::BTreeMap;
use std::ops::Range;

use dormouse_harness::Random;

use super::*;
use crate::error::StoreError;
use crate::journal::{Anchor, Journal};
use crate::snapshot::{AsOf, Snapshot};
use crate::writer::Options;

/// Flips per test, each on a fresh copy of the files.
const FLIPS: usize = 60;

const AGGREGATES: usize = 20;

const COMMANDS: usize = 8;

const FILES: [&str; 3] = ["journal.db", "index.db", "snapshots.db"];

/// The bytes of a header that say whose file it is: the schema format, the user version and the application id
/// (<https://sqlite.org/fileformat2.html#the_database_header>).
const IDENTITY: [Range<usize>; 3] = [44..48, 60..64, 68..72];

/// A journal that was closed properly, and everything that was written to it.
struct Written {
    place: Place,
    histories: BTreeMap<usize, Vec<RecordedEvent>>,
    log: Vec<RecordedEvent>,
    snapshots: BTreeMap<usize, Vec<Snapshot>>,
}

/// The results of reading everything again.
#[derive(Debug, Default)]
struct Tally {
    refused_to_open: usize,
    with_errors: usize,
    unharmed: usize,
}

#[tokio::test]
async fn a_flipped_bit_of_the_log_is_an_error_or_harmless() {
    let tally = Written::new().await.flip_many("journal.db", &[], &[], Random::of_test()).await;
    assert!(tally.with_errors > FLIPS / 10 && tally.unharmed > 0, "{tally:?}");
}

#[tokio::test]
async fn a_flipped_bit_of_the_log_is_an_error_or_harmless_when_the_index_is_made_from_it() {
    // Always the same flips: where only the slice shows that an event has another name, one in a thousand flips of a
    // name is not noticed.
    let tally = Written::new().await.flip_many("journal.db", &["index.db"], &[], Random::seeded(1)).await;
    assert!(tally.with_errors > FLIPS / 10 && tally.unharmed > 0, "{tally:?}");
}

#[tokio::test]
async fn a_flipped_bit_of_a_snapshot_costs_that_snapshot() {
    // A file that says that it is not ours is refused, and left as it is.
    let tally = Written::new().await.flip_many("snapshots.db", &[], &IDENTITY, Random::of_test()).await;
    // Reads of events do not depend on snapshots.
    assert_eq!((tally.refused_to_open, tally.with_errors), (0, 0), "{tally:?}");
}

/// The last event of the fourth aggregate, which is not the last of the log.
macro_rules! its_last_event {
    () => {
        "WHERE position = (SELECT max(position) FROM events WHERE aggregate_id = 'o-00003')"
    };
}

/// Wrong bits in the key of a row or in its name, which are too rare among random flips.
#[tokio::test]
async fn an_event_that_was_moved_or_renamed_is_noticed() {
    let written = Written::new().await;
    let lost = concat!("DELETE FROM events ", its_last_event!());
    let moved = concat!("UPDATE events SET position = position + 1000000 ", its_last_event!());
    let renamed = concat!("UPDATE events SET aggregate_id = 'o-00002' ", its_last_event!());
    let earlier = concat!("UPDATE events SET version = version - 1 ", its_last_event!());
    let index: &[&str] = &["index.db"];
    for (damage, missing, outcome) in [
        (lost, &[][..], Ok(2)),
        (moved, &[], Err("a position is missing")),
        // The index has the old name, and a read of the log shows that the event has another.
        (renamed, &[], Ok(1)),
        (earlier, &[], Ok(1)),
        (lost, index, Err("the log lacks position")),
        (renamed, index, Err("the slice of another aggregate")),
    ] {
        let copy = written.copy(missing);
        copy.tamper("journal.db", damage).await;
        let opened = open(&copy).await;
        match (opened, outcome) {
            (Ok(journal), Ok(errors)) => assert_eq!(written.compare(&journal, damage).await, errors, "{damage}"),
            (Err(refused), Err(reason)) => assert!(refused.contains(reason), "{damage}: {refused}"),
            (opened, _) => panic!("{damage}, without {missing:?}: {:?}", opened.map(|_| "opened")),
        }
    }
}

#[tokio::test]
async fn a_negative_number_is_damage() {
    let place = Place::new();
    place.owner().await.append(&[(0, 2)]).await.unwrap();
    let store = place.reader().await;
    place.tamper("journal.db", "UPDATE events SET version = -version; UPDATE log_head SET epoch = -1").await;
    let log = store.read_log(Position::ZERO, PageLimit::ALL).await.unwrap_err();
    let version = store.versions(&[aggregate(0)]).await.unwrap_err();
    let command = store.find_command(&aggregate(0), &key(0, Version(1))).await.unwrap_err();
    let epoch = store.epoch().await.unwrap_err();
    place.tamper("journal.db", "UPDATE events SET position = position - 10").await;
    let errors = [log, version, command, epoch, store.head().await.unwrap_err()];
    assert!(errors.iter().all(|error| matches!(error, StoreError::Damaged(_))), "{errors:?}");
}

impl Written {
    async fn new() -> Self {
        let place = Place::new();
        let journal = open(&place).await.unwrap();
        let mut anchors = BTreeMap::new();
        let mut snapshots: BTreeMap<usize, Vec<Snapshot>> = BTreeMap::new();
        for command in 0..COMMANDS {
            for number in 0..AGGREGATES {
                let anchor = anchors.entry(number).or_insert(Anchor::START);
                let append = chained(number, anchor, 1 + (number + command) % 3);
                journal.append(append).await.unwrap();
                if command % 4 == 3 {
                    let snapshot = snapshot(number, anchor);
                    journal.save_snapshot(snapshot.clone()).await;
                    snapshots.entry(number).or_default().push(snapshot);
                }
            }
        }
        let mut histories = BTreeMap::new();
        for number in 0..AGGREGATES {
            histories.insert(
                number,
                journal.events_after(&aggregate(number), Anchor::START, PageLimit::ALL).await.unwrap().events,
            );
        }
        let log = journal.read_log(Position::ZERO, PageLimit::ALL).await.unwrap().events;
        journal.close().await;
        Self { place, histories, log, snapshots }
    }

    /// Flips one bit of a file at a time, outside the spared bytes, with other files missing.
    async fn flip_many(&self, file: &str, missing: &[&str], spared: &[Range<usize>], mut random: Random) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..FLIPS {
            let copy = self.copy(missing);
            let path = copy.path().join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            let mut byte = random.below(bytes.len() as u64) as usize;
            while spared.iter().any(|range| range.contains(&byte)) {
                byte = random.below(bytes.len() as u64) as usize;
            }
            let bit = random.below(8);
            bytes[byte] ^= 1 << bit;
            std::fs::write(&path, bytes).unwrap();
            match open(&copy).await {
                Err(_) => tally.refused_to_open += 1,
                Ok(journal) => {
                    let errors = self.compare(&journal, &format!("{file}, byte {byte}, bit {bit}")).await;
                    journal.close().await;
                    *(if errors > 0 { &mut tally.with_errors } else { &mut tally.unharmed }) += 1;
                }
            }
        }
        tally
    }

    fn copy(&self, missing: &[&str]) -> Place {
        let copy = Place::new();
        for file in FILES.iter().filter(|file| !missing.contains(file)) {
            std::fs::copy(self.place.path().join(file), copy.path().join(file)).unwrap();
        }
        copy
    }

    /// Reads everything in every way. Counts the errors.
    async fn compare(&self, journal: &Journal, flipped: &str) -> usize {
        let mut errors = 0;
        for (number, written) in &self.histories {
            match journal.events_after(&aggregate(*number), Anchor::START, PageLimit::ALL).await {
                Ok(read) => assert!(read.events == *written, "{flipped}: aggregate {number} has another history"),
                Err(_) => errors += 1,
            }
            if let Some(snapshot) = journal.snapshot(&aggregate(*number), AsOf::Now).await {
                let written = &self.snapshots[number];
                // The time when it was taken matters only for its retention.
                let known = |kept: &Snapshot| Snapshot { taken_at: kept.taken_at, ..snapshot.clone() } == *kept;
                assert!(written.iter().any(known), "{flipped}: the snapshot of {number}");
            }
        }
        match journal.read_log(Position::ZERO, PageLimit::ALL).await {
            // A single event cannot be checked: its chain needs the one before it.
            Ok(read) => assert_eq!(read.len(), self.log.len(), "{flipped}: the log"),
            Err(_) => errors += 1,
        }
        errors
    }
}

async fn open(place: &Place) -> Result<Journal, String> {
    let store = place.open(Access::Own).await.map_err(|error| error.to_string())?;
    Journal::start(Arc::new(store), Options::default()).await.map_err(|error| error.to_string())
}

/// A command with events that follow the anchor. Moves the anchor to the last one.
fn chained(number: usize, anchor: &mut Anchor, events: usize) -> Append {
    let mut append = append(number, anchor.version, events);
    let key = append.command_key().cloned();
    for (index, event) in append.events.iter_mut().enumerate() {
        event.payload = vec![number as u8; 40];
        let version = anchor.version.next();
        event.chain = anchor.chain.next(&append.aggregate, version, key.as_ref().filter(|_| index == 0), event);
        *anchor = Anchor { version, chain: event.chain };
    }
    append
}

fn snapshot(number: usize, anchor: &Anchor) -> Snapshot {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    Snapshot {
        aggregate: aggregate(number),
        version: anchor.version,
        chain: anchor.chain,
        recorded_at: at,
        snapshot_version: 1,
        body: vec![number as u8; 60],
        taken_at: at,
    }
}

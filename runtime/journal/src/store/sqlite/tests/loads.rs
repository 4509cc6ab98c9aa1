//! Reads that go to the files together.

use crate::page::PageLimit;
use std::future::Future;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::error::StoreError;
use crate::store::sqlite::loads::{Load, Loads, READS_PER_LOAD};

/// Gives back what is asked for, once the gate lets it through. Number 13 makes it panic.
#[derive(Clone, Debug)]
struct Gated {
    gate: Arc<Semaphore>,
    loads: Arc<Mutex<Vec<Vec<usize>>>>,
}

impl Gated {
    fn open() -> Self {
        Self { gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), loads: Arc::default() }
    }

    fn closed() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), loads: Arc::default() }
    }

    fn loads(&self) -> Vec<Vec<usize>> {
        self.loads.lock().unwrap().clone()
    }
}

#[async_trait]
impl Load for Gated {
    type Wanted = usize;
    type Found = usize;

    async fn load(&self, wanted: Vec<usize>) -> Vec<Result<usize, StoreError>> {
        self.loads.lock().unwrap().push(wanted.clone());
        assert!(!wanted.contains(&13), "an unlucky load");
        self.gate.acquire().await.unwrap().forget();
        wanted.into_iter().map(Ok).collect()
    }
}

/// Asks for numbers at the same time; the answers come in the order of the numbers.
async fn ask_all(
    loads: &Arc<Loads<Gated>>,
    numbers: impl IntoIterator<Item = usize>,
) -> Vec<Result<usize, StoreError>> {
    let asked = numbers.into_iter().map(|number| {
        let loads = Arc::clone(loads);
        tokio::spawn(async move { loads.read(number).await })
    });
    let mut answers = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        answers.push(asked.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn reads_asked_for_at_the_same_time_go_together() {
    let gated = Gated::open();
    let loads = Arc::new(Loads::new(gated.clone()));
    let answers = ask_all(&loads, 100..150).await;
    assert_eq!(answers, (100..150).map(Ok).collect::<Vec<_>>());
    let sizes: Vec<usize> = gated.loads().iter().map(Vec::len).collect();
    assert_eq!(sizes, [READS_PER_LOAD, 50 - READS_PER_LOAD]);
}

#[tokio::test]
async fn a_read_alone_goes_at_once() {
    let gated = Gated::open();
    let loads = Loads::new(gated.clone());
    let mut read = Box::pin(loads.read(1));
    assert!(is_pending(&mut read).await);
    // What can run has run, and no time has passed: it is on its way without anybody else.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(gated.loads(), [[1]]);
    assert_eq!(read.await, Ok(1));
}

#[tokio::test]
async fn a_read_does_not_wait_for_one_load_under_way() {
    let gated = Gated::closed();
    let loads = Loads::new(gated.clone());
    let mut stuck = Box::pin(loads.read(1));
    assert!(is_pending(&mut stuck).await);
    eventually(async || gated.loads() == [[1]]).await;
    let mut next = Box::pin(loads.read(2));
    assert!(is_pending(&mut next).await);
    eventually(async || gated.loads() == [[1], [2]]).await;
    gated.gate.add_permits(2);
    assert_eq!((stuck.await, next.await), (Ok(1), Ok(2)));
}

#[tokio::test]
async fn whoever_stops_waiting_disturbs_nobody() {
    let gated = Gated::closed();
    let loads = Loads::new(gated.clone());
    let mut reads: Vec<_> = (1..=4).map(|number| Box::pin(loads.read(number))).collect();
    for read in &mut reads {
        assert!(is_pending(read).await);
    }
    // One before its load, one during it.
    drop(reads.remove(1));
    eventually(async || !gated.loads().is_empty()).await;
    assert_eq!(gated.loads(), [[1, 3, 4]]);
    drop(reads.remove(0));
    gated.gate.add_permits(1);
    for (read, number) in reads.into_iter().zip([3, 4]) {
        assert_eq!(read.await, Ok(number));
    }
}

#[tokio::test]
async fn a_load_that_dies_is_an_error_to_its_readers_and_the_next_are_served() {
    let loads = Arc::new(Loads::new(Gated::open()));
    for answer in ask_all(&loads, [12, 13, 14]).await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    // More than once: dead loaders do not count.
    for _ in 0..20 {
        let reads = async { (loads.read(13).await, loads.read(15).await) };
        let (dead, next) = tokio::time::timeout(Duration::from_secs(10), reads).await.expect("somebody loads");
        assert!(dead.is_err());
        assert_eq!(next, Ok(15));
    }
}

/// Polls once.
async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
        .await
}

/// Aggregates of all sizes, up to more events than a shared statement asks for; all of them indexed.
async fn of_all_sizes(place: &Place) -> Owner {
    let mut owner = place.owner().await;
    for number in 0..SIZES {
        owner.append(&[(number, number + 1)]).await.unwrap();
    }
    owner.store.close().await;
    let owner = place.owner().await;
    assert_eq!(owner.store.tail.start(), owner.head);
    owner
}

const SIZES: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_at_once_get_each_its_own_events() {
    let place = Place::new();
    let store = Arc::new(of_all_sizes(&place).await.store);
    let mut reads = JoinSet::new();
    // One without events among them.
    for number in 0..=SIZES {
        for (after, limit) in [(0, 512), (0, 1), (0, number + 1), (1, 10), (number / 2, 70), (number + 5, 5)] {
            let store = Arc::clone(&store);
            reads.spawn(async move {
                let events = store
                    .read_aggregate(&aggregate(number), Version(after as u64), PageLimit::events(limit))
                    .await
                    .unwrap();
                let written = if number == SIZES { 0 } else { number + 1 };
                let expected: Vec<usize> = (after..written).take(limit).collect();
                assert_eq!(events.len(), expected.len(), "{number} after {after}, at most {limit}");
                for (event, index) in events.iter().zip(expected) {
                    assert_is(event, &append(number, Version::ZERO, written), index);
                }
            });
        }
    }
    while let Some(read) = reads.join_next().await {
        read.unwrap();
    }
}

/// Reads all at once: which of them fail, and what of the others is read.
async fn failures(store: Sqlite, aggregates: usize) -> (Sqlite, Vec<(usize, StoreError)>) {
    let store = Arc::new(store);
    let reads: Vec<_> = (0..aggregates)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.read_aggregate(&aggregate(number), Version::ZERO, PageLimit::events(512)).await
            })
        })
        .collect();
    let mut failures = Vec::new();
    for (number, read) in reads.into_iter().enumerate() {
        match read.await.unwrap() {
            Ok(events) => {
                let written = append(number, Version::ZERO, number + 1);
                assert_eq!(events.len(), number + 1);
                events.iter().enumerate().for_each(|(index, event)| assert_is(event, &written, index));
            }
            Err(failure) => failures.push((number, failure)),
        }
    }
    (Arc::into_inner(store).unwrap(), failures)
}

#[tokio::test]
async fn a_row_that_nobody_wrote_fails_its_aggregate_alone() {
    let place = Place::new();
    let owner = of_all_sizes(&place).await;
    place.tamper("journal.db", "UPDATE events SET chain = x'00' WHERE aggregate_id = 'o-00020' AND version = 7").await;
    let (_store, failures) = failures(owner.store, SIZES).await;
    assert!(matches!(&failures[..], [(20, StoreError::Damaged(_))]), "{failures:?}");
}

#[tokio::test]
async fn a_damaged_page_of_the_log_fails_those_alone_whose_events_were_on_it() {
    use std::os::unix::fs::FileExt;

    let place = Place::new();
    of_all_sizes(&place).await.store.close().await;
    let page =
        place.ask("journal.db", "SELECT pageno FROM dbstat WHERE name = 'events' ORDER BY path LIMIT 1 OFFSET 90");
    let page = page.await as u64;
    let owner = place.owner().await;
    let log = std::fs::File::options().write(true).open(place.path().join("journal.db")).unwrap();
    log.write_all_at(&[0xaa; 4096], (page - 1) * 4096).unwrap();
    let (store, failures) = failures(owner.store, SIZES).await;
    assert!((1..=3).contains(&failures.len()), "{failures:?}");
    assert!(failures.iter().all(|(_, failure)| matches!(failure, StoreError::Damaged(_))), "{failures:?}");
    assert!(!store.readers.has_index_damage());
}

#[tokio::test]
async fn a_version_that_is_missing_does_not_pass_for_the_end() {
    let place = Place::new();
    let owner = of_all_sizes(&place).await;
    // The last that a shared statement asks for, and the very first ones.
    place.tamper("journal.db", "DELETE FROM events WHERE aggregate_id = 'o-00100' AND version = 64").await;
    place.tamper("journal.db", "DELETE FROM events WHERE aggregate_id = 'o-00101' AND version <= 64").await;
    place.tamper("index.db", "DELETE FROM event_index WHERE aggregate_id = 'o-00102' AND version = 64").await;
    for number in [100, 101, 102] {
        let (wanted, other) = (aggregate(number), aggregate(3));
        let (events, others) = tokio::join!(
            owner.store.read_aggregate(&wanted, Version::ZERO, PageLimit::events(512)),
            owner.store.read_aggregate(&other, Version::ZERO, PageLimit::events(512)),
        );
        assert_eq!(others.unwrap().len(), 4, "it is not to blame");
        match events {
            // What the log lacks is missed where it is read.
            Err(failure) => assert!(matches!(failure, StoreError::Damaged(_)) && number < 102, "{failure:?}"),
            // What the index lacks leaves a gap, for whoever checks the chain.
            Ok(events) => {
                assert_eq!((events.len(), number), (102, 102));
                assert_eq!(events.last().unwrap().version, Version(103));
            }
        }
    }
}

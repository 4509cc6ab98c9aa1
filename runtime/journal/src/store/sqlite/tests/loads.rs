//! Shared loads.

use crate::page::PageLimit;
use std::future::Future;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::error::StoreError;
use crate::store::sqlite::loads::{Load, Loads, READS_PER_LOAD};

/// Gives back the requests, once its gate is open. Number 13 makes it panic.
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
    type Request = usize;
    type Output = usize;

    async fn load(&self, wanted: Vec<usize>) -> Vec<Result<usize, StoreError>> {
        self.loads.lock().unwrap().push(wanted.clone());
        assert!(!wanted.contains(&13), "an unlucky load");
        self.gate.acquire().await.unwrap().forget();
        wanted.into_iter().map(Ok).collect()
    }
}

/// Reads numbers at the same time. The results have the order of the numbers.
async fn read_all(
    loads: &Arc<Loads<Gated>>,
    numbers: impl IntoIterator<Item = usize>,
) -> Vec<Result<usize, StoreError>> {
    let reads = numbers.into_iter().map(|number| {
        let loads = Arc::clone(loads);
        tokio::spawn(async move { loads.read(number).await })
    });
    let mut results = Vec::new();
    for read in reads.collect::<Vec<_>>() {
        results.push(read.await.unwrap());
    }
    results
}

#[tokio::test]
async fn reads_at_the_same_time_share_a_load() {
    let gated = Gated::open();
    let loads = Arc::new(Loads::new(gated.clone()));
    let results = read_all(&loads, 100..150).await;
    assert_eq!(results, (100..150).map(Ok).collect::<Vec<_>>());
    let sizes: Vec<usize> = gated.loads().iter().map(Vec::len).collect();
    assert_eq!(sizes, [READS_PER_LOAD, 50 - READS_PER_LOAD]);
}

#[tokio::test]
async fn a_single_read_starts_at_once() {
    let gated = Gated::open();
    let loads = Loads::new(gated.clone());
    let mut read = Box::pin(loads.read(1));
    assert!(is_pending(&mut read).await);
    // All tasks have run and no time has passed: the read has started without waiting for others.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(gated.loads(), [[1]]);
    assert_eq!(read.await, Ok(1));
}

#[tokio::test]
async fn a_read_does_not_wait_for_a_load_in_progress() {
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
async fn a_reader_that_stops_waiting_disturbs_no_other() {
    let gated = Gated::closed();
    let loads = Loads::new(gated.clone());
    let mut reads: Vec<_> = (1..=4).map(|number| Box::pin(loads.read(number))).collect();
    for read in &mut reads {
        assert!(is_pending(read).await);
    }
    // One reader is dropped before its load, one during it.
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
async fn a_load_that_panics_fails_its_readers_and_later_reads_succeed() {
    let loads = Arc::new(Loads::new(Gated::open()));
    for result in read_all(&loads, [12, 13, 14]).await {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    // More than once: a loader that panicked does not count.
    for _ in 0..20 {
        let reads = async { (loads.read(13).await, loads.read(15).await) };
        let (failed, next) = tokio::time::timeout(Duration::from_secs(10), reads).await.expect("a loader runs");
        assert!(failed.is_err());
        assert_eq!(next, Ok(15));
    }
}

/// Polls the future once.
async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
        .await
}

/// Aggregates of all sizes, up to more events than a shared statement reads. All of them are indexed.
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
    // One aggregate has no events.
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

/// Reads all aggregates at the same time, checks those that succeed, and gives the errors of the others.
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
async fn a_damaged_row_fails_only_its_aggregate() {
    let place = Place::new();
    let owner = of_all_sizes(&place).await;
    place.tamper("journal.db", "UPDATE events SET chain = x'00' WHERE aggregate_id = 'o-00020' AND version = 7").await;
    let (_store, failures) = failures(owner.store, SIZES).await;
    assert!(matches!(&failures[..], [(20, StoreError::Damaged(_))]), "{failures:?}");
}

#[tokio::test]
async fn a_damaged_page_of_the_log_fails_only_the_aggregates_on_it() {
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
async fn a_missing_version_is_not_taken_for_the_end() {
    let place = Place::new();
    let owner = of_all_sizes(&place).await;
    // The last version that a shared statement reads, and the first ones.
    place.tamper("journal.db", "DELETE FROM events WHERE aggregate_id = 'o-00100' AND version = 64").await;
    place.tamper("journal.db", "DELETE FROM events WHERE aggregate_id = 'o-00101' AND version <= 64").await;
    place.tamper("index.db", "DELETE FROM event_index WHERE aggregate_id = 'o-00102' AND version = 64").await;
    for number in [100, 101, 102] {
        let (wanted, other) = (aggregate(number), aggregate(3));
        let (events, others) = tokio::join!(
            owner.store.read_aggregate(&wanted, Version::ZERO, PageLimit::events(512)),
            owner.store.read_aggregate(&other, Version::ZERO, PageLimit::events(512)),
        );
        assert_eq!(others.unwrap().len(), 4, "its events are not damaged");
        match events {
            // The read notices that the log lacks an event.
            Err(failure) => assert!(matches!(failure, StoreError::Damaged(_)) && number < 102, "{failure:?}"),
            // An event that the index lacks leaves a gap, which the check of the chain notices.
            Ok(events) => {
                assert_eq!((events.len(), number), (102, 102));
                assert_eq!(events.last().unwrap().version, Version(103));
            }
        }
    }
}

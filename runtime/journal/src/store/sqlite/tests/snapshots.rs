//! Damaged snapshots, and a damaged file of snapshots.

use super::*;
use crate::snapshot::{AsOf, Snapshot};

fn snapshot(number: usize, version: u64) -> Snapshot {
    let at = Timestamp::from_second(1_700_000_000 + version as i64).unwrap();
    Snapshot {
        aggregate: aggregate(number),
        version: Version(version),
        chain: Chain([version as u8; 16]),
        recorded_at: at,
        snapshot_version: 2,
        body: vec![version as u8; 100],
        taken_at: at,
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_skipped() {
    let place = Place::new();
    let owner = place.owner().await;
    owner.store.save_snapshots(&[snapshot(1, 10), snapshot(1, 20), snapshot(1, 30)]).await.unwrap();
    for (damage, left) in [
        ("UPDATE snapshots SET body = x'00' WHERE version = 30", Some(20)),
        ("UPDATE snapshots SET chain = x'00' WHERE version = 20", Some(10)),
        ("UPDATE snapshots SET version = 11 WHERE version = 10", None),
    ] {
        place.tamper("snapshots.db", damage).await;
        let found = owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap();
        assert_eq!(found.map(|found| found.version.0), left, "{damage}");
    }
    owner.store.save_snapshots(&[snapshot(1, 30)]).await.unwrap();
    assert_eq!(owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap(), Some(snapshot(1, 30)));
}

#[tokio::test]
async fn a_lost_or_damaged_file_of_snapshots_is_made_again() {
    use std::os::unix::fs::FileExt;

    for is_lost in [true, false] {
        let place = Place::new();
        let owner = place.owner().await;
        owner.store.save_snapshots(&[snapshot(1, 10)]).await.unwrap();
        owner.store.close().await;
        let file = place.path().join("snapshots.db");
        if is_lost {
            std::fs::remove_file(&file).unwrap();
        } else {
            let file = std::fs::File::options().write(true).open(&file).unwrap();
            file.write_all_at(&[0xaa; 4096], 100).unwrap();
        }
        let owner = place.owner().await;
        assert_eq!(owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap(), None);
        owner.store.save_snapshots(&[snapshot(1, 11)]).await.unwrap();
        assert_eq!(owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap(), Some(snapshot(1, 11)));
    }
}

#[tokio::test]
async fn damaged_snapshots_are_not_found_and_their_file_is_made_again() {
    use std::os::unix::fs::FileExt;

    let place = Place::new();
    let owner = place.owner().await;
    let many: Vec<Snapshot> = (0..500).map(|number| snapshot(number, 10)).collect();
    owner.store.save_snapshots(&many).await.unwrap();
    owner.store.close().await;
    let file = std::fs::File::options().write(true).open(place.path().join("snapshots.db")).unwrap();
    for page in 2..file.metadata().unwrap().len() / 4096 {
        file.write_all_at(&[0xaa; 4096], page * 4096).unwrap();
    }
    let owner = place.owner().await;
    for number in 0..500 {
        owner.store.snapshot(&aggregate(number), AsOf::Now).await.unwrap();
    }
    owner.store.save_snapshots(&[snapshot(7, 11)]).await.unwrap();
    assert_eq!(owner.store.snapshot(&aggregate(7), AsOf::Now).await.unwrap(), Some(snapshot(7, 11)));
    assert_eq!(owner.store.snapshot(&aggregate(8), AsOf::Now).await.unwrap(), None);
}

#[tokio::test]
async fn readers_at_the_same_time_each_find_their_own_snapshot() {
    let place = Place::new();
    let owner = place.owner().await;
    let all: Vec<Snapshot> = (0..100).flat_map(|number| [snapshot(number, 10), snapshot(number, 20)]).collect();
    owner.store.save_snapshots(&all).await.unwrap();
    place
        .tamper("snapshots.db", "UPDATE snapshots SET body = x'00' WHERE aggregate_id = 'o-00007' AND version = 20")
        .await;
    let store = Arc::new(owner.store);
    let reads: Vec<_> = (0..=100)
        .flat_map(|number| [(number, AsOf::Now, 20), (number, AsOf::Version(Version(19)), 10)])
        .map(|(number, as_of, version)| {
            let store = Arc::clone(&store);
            (number, version, tokio::spawn(async move { store.snapshot(&aggregate(number), as_of).await.unwrap() }))
        })
        .collect();
    for (number, version, read) in reads {
        let left = if number == 7 { 10 } else { version };
        assert_eq!(read.await.unwrap(), (number < 100).then(|| snapshot(number, left)));
    }
}

#[tokio::test]
async fn snapshots_are_found_again_after_a_start() {
    let place = Place::new();
    let owner = place.owner().await;
    assert_eq!(owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap(), None);
    owner.store.save_snapshots(&[snapshot(1, 10)]).await.unwrap();
    assert_eq!(owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap(), Some(snapshot(1, 10)));
    owner.store.close().await;
    let owner = place.owner().await;
    assert_eq!(owner.store.snapshot(&aggregate(1), AsOf::Now).await.unwrap(), Some(snapshot(1, 10)));
}

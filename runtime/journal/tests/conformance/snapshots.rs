//! Snapshots: which one is found, and which are kept.

use dormouse_journal::{AsOf, Snapshot};
use dormouse_kernel::{Chain, Timestamp, Version};

use crate::support::{History, Place, account, at, days};

on_every_store! {
    the_latest_snapshot_that_fits_is_found,
    a_snapshot_of_the_same_version_is_replaced,
    five_snapshots_are_kept,
    old_snapshots_are_dropped,
    a_long_history_keeps_snapshots_spread_over_it,
    the_latest_snapshot_is_kept_however_old,
    an_aggregate_keeps_its_snapshots_when_others_drop_theirs,
    a_snapshot_comes_back_as_it_was_given,
    aggregates_with_snapshots_are_listed_by_id;
    durable:
    a_snapshot_offered_before_the_close_is_there_after_it,
}

fn snapshot(id: &str, version: u64) -> Snapshot {
    Snapshot {
        aggregate: account(id),
        version: Version(version),
        chain: Chain([version.to_le_bytes()[0]; 16]),
        recorded_at: at(version.cast_signed()),
        snapshot_version: 1,
        body: format!("state at {version}").into_bytes(),
        taken_at: at(1_000),
    }
}

fn taken(snapshot: Snapshot, taken_at: Timestamp) -> Snapshot {
    Snapshot { taken_at, ..snapshot }
}

async fn the_latest_snapshot_that_fits_is_found(place: Place) {
    let store = place.store().await;
    store.save_snapshots(&[10, 20, 30].map(|version| snapshot("a", version))).await.unwrap();
    let found = async |as_of| {
        let found = store.snapshot(&account("a"), as_of).await.unwrap();
        found.map_or(0, |snapshot| snapshot.version.0)
    };
    assert_eq!(found(AsOf::Now).await, 30);
    for (wanted, version) in [(9, 0), (10, 10), (19, 10), (20, 20), (29, 20), (30, 30), (99, 30)] {
        assert_eq!(found(AsOf::Version(Version(wanted))).await, version);
        // Each was recorded as many seconds after the start as its version.
        assert_eq!(found(AsOf::Time(at(wanted.cast_signed()))).await, version);
    }
    assert_eq!(store.snapshot(&account("b"), AsOf::Now).await, Ok(None));
}

async fn a_snapshot_of_the_same_version_is_replaced(place: Place) {
    let store = place.store().await;
    let first = snapshot("a", 10);
    let second = Snapshot { body: b"another way to write it".to_vec(), snapshot_version: 2, ..first.clone() };
    let third = Snapshot { body: Vec::new(), snapshot_version: 3, ..first.clone() };
    store.save_snapshots(&[first]).await.unwrap();
    store.save_snapshots(std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(store.snapshot(&account("a"), AsOf::Now).await, Ok(Some(second.clone())));
    // Also within one call: the last one counts.
    store.save_snapshots(&[second, third.clone()]).await.unwrap();
    assert_eq!(store.snapshot(&account("a"), AsOf::Now).await, Ok(Some(third)));
}

async fn five_snapshots_are_kept(place: Place) {
    let store = place.store().await;
    for version in 1..=4 {
        store.save_snapshots(&[snapshot("a", version)]).await.unwrap();
    }
    store.save_snapshots(&[5, 6, 7].map(|version| snapshot("a", version))).await.unwrap();
    let found = async |version| store.snapshot(&account("a"), AsOf::Version(Version(version))).await.unwrap();
    assert_eq!(found(2).await, None);
    for version in 3..=7 {
        assert_eq!(found(version).await, Some(snapshot("a", version)));
    }
}

async fn old_snapshots_are_dropped(place: Place) {
    let store = place.store().await;
    let today = at(0);
    let old = taken(snapshot("a", 1), today - days(91));
    let young = taken(snapshot("a", 2), today - days(89));
    store.save_snapshots(&[old]).await.unwrap();
    store.save_snapshots(std::slice::from_ref(&young)).await.unwrap();
    store.save_snapshots(&[taken(snapshot("a", 3), today)]).await.unwrap();
    let found = async |version| store.snapshot(&account("a"), AsOf::Version(Version(version))).await.unwrap();
    assert_eq!(found(1).await, None);
    assert_eq!(found(2).await, Some(young));
}

async fn a_long_history_keeps_snapshots_spread_over_it(place: Place) {
    let store = place.store().await;
    for latest in (500..=60_000).step_by(500) {
        // Each is older than the retention allows when the next is taken.
        let taken_at = at(0) + days(latest / 5);
        store.save_snapshots(&[taken(snapshot("a", latest), taken_at)]).await.unwrap();
    }
    let mut kept = std::collections::BTreeSet::new();
    for version in (0..=60_000).step_by(250) {
        let found = store.snapshot(&account("a"), AsOf::Version(Version(version))).await.unwrap();
        let found = found.map_or(0, |snapshot| snapshot.version.0);
        kept.insert(found);
        // Two pieces of 4,096, to which a sixteenth of the history is rounded up, and the distance of two snapshots.
        assert!(version - found <= 2 * 4_096 + 500, "{version} from {found}");
    }
    assert!(kept.len() <= 16 + 5, "{kept:?}");
}

async fn the_latest_snapshot_is_kept_however_old(place: Place) {
    let store = place.store().await;
    let oldest = taken(snapshot("a", 10), at(0) - days(400));
    store.save_snapshots(std::slice::from_ref(&oldest)).await.unwrap();
    // An older state, taken today: the latest snapshot is older than the retention allows, but it is the latest.
    store.save_snapshots(&[taken(snapshot("a", 5), at(0))]).await.unwrap();
    assert_eq!(store.snapshot(&account("a"), AsOf::Now).await, Ok(Some(oldest)));
}

async fn an_aggregate_keeps_its_snapshots_when_others_drop_theirs(place: Place) {
    let store = place.store().await;
    let quiet = taken(snapshot("quiet", 1), at(0) - days(400));
    store.save_snapshots(&[quiet.clone(), taken(snapshot("busy", 1), at(0) - days(400))]).await.unwrap();
    store.save_snapshots(&[taken(snapshot("busy", 2), at(0))]).await.unwrap();
    assert_eq!(store.snapshot(&account("quiet"), AsOf::Now).await, Ok(Some(quiet)));
    assert_eq!(store.snapshot(&account("busy"), AsOf::Version(Version(1))).await, Ok(None));
}

async fn aggregates_with_snapshots_are_listed_by_id(place: Place) {
    let store = place.store().await;
    for id in ["b", "a", "Z", "ä", "c"] {
        store.save_snapshots(&[snapshot(id, 1), snapshot(id, 2)]).await.unwrap();
    }
    let of = |aggregate_type: &str| dormouse_kernel::AggregateType::new(aggregate_type).unwrap();
    let ids = async |after: Option<&str>, limit| {
        let after = after.map(|id| account(id).id);
        let found = store.snapshotted(&of("account"), after.as_ref(), limit).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 3).await, ["Z", "a", "b"]);
    assert_eq!(ids(Some("b"), 3).await, ["c", "ä"]);
    assert!(store.snapshotted(&of("order"), None, 3).await.unwrap().is_empty());
    assert_eq!(store.count_snapshotted(&of("account")).await, Ok(5));
    assert_eq!(store.count_snapshotted(&of("order")).await, Ok(0));
}

async fn a_snapshot_comes_back_as_it_was_given(place: Place) {
    let store = place.store().await;
    let mut given = snapshot("größe 🐭", 3);
    given.body = (0..1 << 20).map(|byte: u32| byte.to_le_bytes()[0]).collect();
    given.snapshot_version = u32::MAX;
    given.taken_at = Timestamp::from_microsecond(1_800_000_000_123_456).unwrap();
    store.save_snapshots(std::slice::from_ref(&given)).await.unwrap();
    let found = store.snapshot(&given.aggregate, AsOf::Now).await.unwrap();
    assert!(found == Some(given));
}

async fn a_snapshot_offered_before_the_close_is_there_after_it(place: Place) {
    let journal = place.journal().await;
    journal.append(History::of("a").next(3)).await.unwrap();
    journal.offer_snapshot(snapshot("a", 3));
    journal.close().await;
    let journal = place.journal().await;
    assert_eq!(journal.snapshot(&account("a"), AsOf::Now).await, Some(snapshot("a", 3)));
    assert_eq!(journal.snapshot(&account("a"), AsOf::Version(Version(2))).await, None);
}

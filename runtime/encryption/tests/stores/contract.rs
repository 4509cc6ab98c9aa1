//! The contract of a store.

use std::collections::BTreeMap;

use dormouse_encryption::store::{DestroyedKey, KeyCounts, LiveKey, StoredKey};

use crate::support::{Place, at, hash, id, live, wrapped, wrapping_key};

on_every_store! {
    a_key_is_found_by_its_id_and_by_its_subject,
    the_first_key_of_a_subject_stays,
    a_destroyed_key_keeps_its_id_and_its_time,
    a_subject_gets_another_key_after_its_key_was_destroyed,
    destroying_again_changes_nothing,
    keys_wrapped_by_others_come_in_pages,
    a_key_is_rewrapped_only_if_nobody_was_faster,
    keys_are_counted_by_wrapping_key,
    many_ids_are_asked_for_at_once,
    times_keep_their_microseconds,
    ;
    durable: keys_outlast_the_process,
}

async fn a_key_is_found_by_its_id_and_by_its_subject(place: Place) {
    let store = place.store().await;
    assert_eq!(store.find(hash(1)).await.unwrap(), None);
    assert_eq!(store.get(&[id(1)]).await.unwrap(), []);
    for key in [live(1, 1), live(2, 2)] {
        assert_eq!(store.create(&key).await.unwrap(), key);
    }
    assert_eq!(store.find(hash(2)).await.unwrap(), Some(live(2, 2)));
    assert_eq!(store.get(&[id(1), id(3)]).await.unwrap(), [StoredKey::Live(live(1, 1))]);
    assert_eq!(store.get(&[]).await.unwrap(), []);
}

async fn the_first_key_of_a_subject_stays(place: Place) {
    let (store, other) = (place.store().await, place.store().await);
    store.create(&live(1, 7)).await.unwrap();
    assert_eq!(other.create(&live(2, 7)).await.unwrap(), live(1, 7));
    assert_eq!(store.get(&[id(2)]).await.unwrap(), []);
}

async fn a_destroyed_key_keeps_its_id_and_its_time(place: Place) {
    let (store, other) = (place.store().await, place.store().await);
    store.create(&live(1, 1)).await.unwrap();
    store.create(&live(2, 2)).await.unwrap();
    let destroyed = DestroyedKey { id: id(1), destroyed_at: at(9) };
    assert_eq!(store.destroy(hash(1), at(9)).await.unwrap(), [destroyed]);
    assert_eq!(other.get(&[id(1)]).await.unwrap(), [StoredKey::Destroyed(destroyed)]);
    assert_eq!(other.find(hash(1)).await.unwrap(), None);
    assert_eq!(other.find(hash(2)).await.unwrap(), Some(live(2, 2)), "another subject keeps its key");
}

async fn a_subject_gets_another_key_after_its_key_was_destroyed(place: Place) {
    let store = place.store().await;
    store.create(&live(2, 1)).await.unwrap();
    store.destroy(hash(1), at(8)).await.unwrap();
    assert_eq!(store.create(&live(1, 1)).await.unwrap(), live(1, 1));
    let destroyed = store.destroy(hash(1), at(9)).await.unwrap();
    let expected = [DestroyedKey { id: id(2), destroyed_at: at(8) }, DestroyedKey { id: id(1), destroyed_at: at(9) }];
    assert_eq!(destroyed, expected, "in the order of their times");
    assert_eq!(store.create(&live(3, 1)).await.unwrap(), live(3, 1));
}

async fn destroying_again_changes_nothing(place: Place) {
    let store = place.store().await;
    assert_eq!(store.destroy(hash(1), at(1)).await.unwrap(), []);
    store.create(&live(1, 1)).await.unwrap();
    let first = store.destroy(hash(1), at(2)).await.unwrap();
    assert_eq!(store.destroy(hash(1), at(3)).await.unwrap(), first);
}

async fn keys_wrapped_by_others_come_in_pages(place: Place) {
    let store = place.store().await;
    for number in [0, 5, 3, 255, 4] {
        store.create(&live(number, number)).await.unwrap();
    }
    store.create(&LiveKey { wrapped: wrapped("kek-2", 6), ..live(6, 6) }).await.unwrap();
    store.destroy(hash(4), at(1)).await.unwrap();
    let current = wrapping_key("kek-2");
    let page = async |after, limit| {
        let page = store.wrapped_by_others(&current, after, limit).await.unwrap();
        page.iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9).await, [id(0), id(3), id(5), id(255)]);
    assert_eq!(page(None, 2).await, [id(0), id(3)]);
    assert_eq!(page(Some(id(3)), 2).await, [id(5), id(255)]);
    assert_eq!(page(Some(id(255)), 2).await, []);
}

async fn a_key_is_rewrapped_only_if_nobody_was_faster(place: Place) {
    let (store, other) = (place.store().await, place.store().await);
    store.create(&live(1, 1)).await.unwrap();
    let (old, new, newer) = (wrapped("kek-1", 1), wrapped("kek-2", 2), wrapped("kek-3", 3));
    assert!(store.rewrap(id(1), &old, &new).await.unwrap());
    assert!(!other.rewrap(id(1), &old, &newer).await.unwrap());
    // The same bytes, but another wrapping key.
    assert!(!other.rewrap(id(1), &wrapped("kek-1", 2), &newer).await.unwrap());
    assert_eq!(other.find(hash(1)).await.unwrap(), Some(LiveKey { wrapped: new.clone(), ..live(1, 1) }));
    store.destroy(hash(1), at(1)).await.unwrap();
    assert!(!store.rewrap(id(1), &new, &newer).await.unwrap(), "a destroyed key does not come back");
    assert!(!store.rewrap(id(9), &new, &newer).await.unwrap());
    assert_eq!(store.find(hash(1)).await.unwrap(), None);
}

async fn keys_are_counted_by_wrapping_key(place: Place) {
    let store = place.store().await;
    assert_eq!(store.counts().await.unwrap(), KeyCounts::default());
    for number in 1..=4 {
        store.create(&live(number, number)).await.unwrap();
    }
    store.destroy(hash(1), at(1)).await.unwrap();
    store.rewrap(id(2), &wrapped("kek-1", 2), &wrapped("kek-2", 2)).await.unwrap();
    let live = BTreeMap::from([(wrapping_key("kek-1"), 2), (wrapping_key("kek-2"), 1)]);
    assert_eq!(store.counts().await.unwrap(), KeyCounts { live, destroyed: 1 });
}

async fn many_ids_are_asked_for_at_once(place: Place) {
    let store = place.store().await;
    for number in 0..=255 {
        store.create(&live(number, number)).await.unwrap();
    }
    let ids: Vec<_> = (0..=255).chain(0..=255).map(id).collect();
    let mut found = store.get(&ids[..256]).await.unwrap();
    found.sort_by_key(StoredKey::id);
    assert_eq!(found, (0..=255).map(|number| StoredKey::Live(live(number, number))).collect::<Vec<_>>());
}

async fn times_keep_their_microseconds(place: Place) {
    let store = place.store().await;
    let created_at = "2026-11-30T12:34:56.123456Z".parse().unwrap();
    let key = LiveKey { created_at, ..live(1, 1) };
    store.create(&key).await.unwrap();
    assert_eq!(store.find(hash(1)).await.unwrap(), Some(key));
    assert_eq!(store.destroy(hash(1), created_at).await.unwrap()[0].destroyed_at, created_at);
}

async fn keys_outlast_the_process(place: Place) {
    let store = place.store().await;
    store.create(&live(1, 1)).await.unwrap();
    store.create(&live(2, 2)).await.unwrap();
    store.destroy(hash(2), at(1)).await.unwrap();
    store.close().await;
    assert!(store.find(hash(1)).await.is_err(), "it is closed");
    let store = place.store().await;
    assert_eq!(store.find(hash(1)).await.unwrap(), Some(live(1, 1)));
    assert!(matches!(store.get(&[id(2)]).await.unwrap()[..], [StoredKey::Destroyed(_)]));
}

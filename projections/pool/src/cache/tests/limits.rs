//! The bounds of the cache, its options, and clearing it.

use super::*;

#[tokio::test]
async fn neither_number_nor_bytes_exceed_their_bounds() {
    let bound = 1 << 20;
    let (cache, view_cache) =
        view_in(Options { entries: 100.try_into().unwrap(), size: ByteSize::b(bound), ..options() });
    let texts = ["x".repeat(10), "x".repeat(3000), "x".repeat(60_000)];
    for (number, text) in texts.iter().cycle().take(3000).enumerate() {
        read(&view_cache, &number.to_string(), found(text, 10)).await;
        if number % 100 == 0 {
            let Usage { entries, bytes, .. } = cache.stats().total;
            assert!(entries <= 100 && bytes <= bound, "{entries} {bytes}");
        }
    }
    let Usage { entries, evictions, .. } = cache.stats().total;
    assert!(entries > 0);
    assert_eq!(evictions, Evictions { size: 3000 - entries, expired: 0 });
}

#[tokio::test]
async fn an_entry_is_removed_after_its_time_to_live() {
    let (cache, view_cache) = view_in(Options { ttl: Duration::from_millis(20), ..options() });
    read(&view_cache, "a", found("a", 10)).await;
    until(|| cache.stats().total.evictions.expired == 1).await;
    assert_eq!(read(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
    let Usage { bytes, entries, .. } = cache.stats().views["orders"];
    assert!(entries <= 1 && bytes < 1000);
}

#[tokio::test]
async fn removed_lists_are_forgotten() {
    let (cache, view_cache) = view_in(Options { entries: 10.try_into().unwrap(), ..options() });
    for limit in 1..2000 {
        list(&view_cache, limit, 10).await;
    }
    assert!(cache.stats().total.entries <= 10);
    list(&view_cache, 2000, 10).await;
    assert!(view_cache.lists() < 600, "{}", view_cache.lists());
    commit(&view_cache, &["a"], 10, 11);
    assert_eq!(view_cache.lists(), 0);
}

#[tokio::test]
async fn options_change_while_the_cache_is_used() {
    let (cache, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    let (reader, complete) = begin_load(&view_cache, "b").await;
    cache.configure(Options { enabled: false, ..options() });
    complete.send(found("b", 10)).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), found("b", 10));
    for _ in 0..2 {
        assert_eq!(read(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
        assert!(list(&view_cache, 5, 10).await.1);
    }
    assert_eq!((cache.stats().total.entries, cache.stats().total.bytes), (0, 0));
    // A commit that began while caching was off is known when it is on again.
    view_cache.commit_begins(SERVED, &changes(&["a"], 10, 11));
    cache.configure(Options { entries: 7.try_into().unwrap(), ..options() });
    assert_eq!(read(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    view_cache.commit_ended(SERVED, at(11), &Ok(()));
    assert_eq!(read(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
    assert_eq!(cache.stats().options.entries.get(), 7);
    // The same options again remove nothing.
    cache.configure(cache.stats().options);
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
}

#[tokio::test]
async fn one_view_or_all_views_can_be_cleared() {
    let (cache, view_cache) = view();
    let other = cache.view_cache("customers");
    other.serves(NEXT, at(10));
    for view_cache in [&view_cache, &other] {
        read(view_cache, "a", found("a", 10)).await;
        read(view_cache, "b", found("b", 10)).await;
    }
    assert_eq!(cache.clear(Some("nobody's")), None);
    assert_eq!(cache.clear(Some("orders")), Some(2));
    assert_eq!(cache.stats().views["orders"].entries, 0);
    assert_eq!(cache.stats().views["customers"].entries, 2);
    assert_eq!(read(&other, "a", found("?", 10)).await, (found("a", 10), false));
    assert_eq!(read(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
    assert_eq!(cache.clear(None), Some(3));
    assert_eq!(cache.stats().total.bytes, 0);
}

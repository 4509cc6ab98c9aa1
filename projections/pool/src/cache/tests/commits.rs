//! What commits do to entries.

use super::*;

#[tokio::test]
async fn a_document_is_cached_until_a_commit_changes_it() {
    let (cache, view_cache) = view();
    assert_eq!(read(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    assert_eq!(read(&view_cache, "a", found("?", 10)).await, (found("old", 10), false));
    commit(&view_cache, &["a"], 10, 11);
    assert_eq!(read(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    let Usage { hits, misses, loads, entries, evictions, .. } = cache.stats().total;
    assert_eq!((hits, misses, loads, entries, evictions), (1, 2, 2, 1, Evictions::default()));
}

#[tokio::test]
async fn a_missing_document_is_cached_as_missing_until_a_commit_writes_it() {
    let (_, view_cache) = view();
    let missing = |at| DocumentAt { document: None, at: Position(at) };
    read(&view_cache, "a", found("old", 10)).await;
    view_cache.commit_begins(SERVED, &Advance { gone: vec![key("a")], ..changes(&[], 10, 11) });
    view_cache.commit_ended(SERVED, at(11), &Ok(()));
    assert_eq!(read(&view_cache, "a", missing(11)).await, (missing(11), true));
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (missing(11), false));
    commit(&view_cache, &["a"], 11, 12);
    assert_eq!(read(&view_cache, "a", found("new", 12)).await, (found("new", 12), true));
}

#[tokio::test]
async fn an_unchanged_document_gets_the_position_of_the_view() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    commit(&view_cache, &["b"], 10, 20);
    commit(&view_cache, &[], 20, 30);
    assert_eq!(read(&view_cache, "a", found("?", 30)).await, (found("old", 30), false));
}

#[tokio::test]
async fn the_position_does_not_go_back_from_one_document_to_the_next() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    view_cache.commit_begins(SERVED, &changes(&["b"], 10, 20));
    // The commit is visible, and its worker does not know yet.
    assert_eq!(read(&view_cache, "b", found("new", 20)).await, (found("new", 20), true));
    assert_eq!(read(&view_cache, "a", found("?", 20)).await, (found("old", 20), false));
}

#[tokio::test]
async fn a_list_is_cached_until_any_document_changes() {
    let (cache, view_cache) = view();
    let page = |total, at| Page { rows: Vec::new(), at: Position(at), total: Some(total), next: None };
    assert_eq!(list(&view_cache, 5, 10).await, (page(10, 10), true));
    assert_eq!(list(&view_cache, 6, 10).await, (page(10, 10), true));
    commit(&view_cache, &[], 10, 11);
    assert_eq!(list(&view_cache, 5, 11).await, (page(10, 11), false));
    view_cache.commit_begins(SERVED, &changes(&["a"], 11, 12));
    assert_eq!(cache.stats().total.entries, 0, "what is out of date takes no room");
    assert_eq!(list(&view_cache, 5, 11).await, (page(11, 11), true));
    view_cache.commit_ended(SERVED, at(12), &Ok(()));
    assert_eq!(list(&view_cache, 5, 12).await, (page(12, 12), true));
    assert_eq!(list(&view_cache, 5, 12).await, (page(12, 12), false));
}

#[tokio::test]
async fn what_an_open_commit_changes_is_neither_cached_nor_shared() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    view_cache.commit_begins(SERVED, &changes(&["a"], 10, 11));
    let (reader, complete) = begin_load(&view_cache, "a").await;
    // The commit becomes visible. A reader that knows of it reads while the earlier load is still in flight.
    let loaded = tokio::time::timeout(PATIENCE, read(&view_cache, "a", found("new", 11))).await;
    assert_eq!(loaded.expect("the reader does not wait"), (found("new", 11), true));
    view_cache.commit_ended(SERVED, at(11), &Ok(()));
    complete.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    assert_eq!(read(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_may_happen_until_the_view_moves_on() {
    let (_, view_cache) = view();
    view_cache.commit_begins(SERVED, &changes(&["a"], 10, 11));
    view_cache.commit_ended(SERVED, at(11), &lost());
    assert_eq!(read(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    // The worker finds the view where it was. Then the commit happens after all.
    view_cache.serves(SERVED, at(10));
    assert_eq!(read(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    assert_eq!(read(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    // Only the next commit makes that impossible.
    view_cache.serves(SERVED, at(11));
    commit(&view_cache, &["b"], 11, 12);
    assert_eq!(read(&view_cache, "a", found("new", 12)).await, (found("new", 12), true));
    assert_eq!(read(&view_cache, "a", found("?", 12)).await, (found("new", 12), false));
}

#[tokio::test]
async fn a_release_whose_reply_is_lost_may_happen_until_the_view_moves_on() {
    let (_, view_cache) = view();
    // A release of parked events does not move the view.
    view_cache.commit_begins(SERVED, &changes(&["a"], 10, 10));
    view_cache.commit_ended(SERVED, at(10), &lost());
    for again in [&["a"][..], &["b"], &[]] {
        commit(&view_cache, again, 10, 10);
        assert_eq!(read(&view_cache, "a", found("not cached", 10)).await, (found("not cached", 10), true));
    }
    assert_eq!(read(&view_cache, "b", found("not cached", 10)).await, (found("not cached", 10), true));
    commit(&view_cache, &[], 10, 11);
    assert_eq!(read(&view_cache, "a", found("cached", 11)).await, (found("cached", 11), true));
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("cached", 11), false));
    // A release that is known to have succeeded is over.
    commit(&view_cache, &["a"], 11, 11);
    read(&view_cache, "a", found("cached", 11)).await;
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("cached", 11), false));
}

#[tokio::test]
async fn a_commit_of_a_build_that_is_not_served_removes_no_entry() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    view_cache.commit_begins(NEXT, &changes(&["a"], 90, 100));
    view_cache.commit_ended(NEXT, at(100), &Ok(()));
    assert_eq!(read(&view_cache, "a", found("?", 10)).await, (found("old", 10), false));
}

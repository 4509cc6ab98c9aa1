//! Which worker may open the cache: restarts, swaps of builds, and other processes.

use super::*;

#[tokio::test]
async fn nothing_is_cached_of_a_view_whose_worker_does_not_run_here() {
    let cache = Cache::new(options());
    let view_cache = cache.view_cache("orders");
    for _ in 0..3 {
        assert_eq!(read(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
    }
}

#[tokio::test]
async fn entries_that_are_still_true_survive_a_restart_of_the_worker() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    read(&view_cache, "b", found("old", 10)).await;
    // The worker dies during its commit, which happened. Its outcome is never announced.
    view_cache.commit_begins(SERVED, &changes(&["b"], 10, 11));
    view_cache.serves(SERVED, at(11));
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("old", 11), false));
    assert_eq!(read(&view_cache, "b", found("new", 11)).await, (found("new", 11), true));
}

#[tokio::test]
async fn another_build_starts_without_entries() {
    let (cache, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    let (before, complete_before) = begin_load(&view_cache, "b").await;
    view_cache.closes();
    let (between, complete_between) = begin_load(&view_cache, "c").await;
    // While the cache is closed, every reader loads for itself.
    assert_eq!(read(&view_cache, "a", found("new", 12)).await, (found("new", 12), true));
    assert_eq!(read(&view_cache, "b", found("new", 12)).await, (found("new", 12), true));
    assert_eq!(read(&view_cache, "c", found("new", 12)).await, (found("new", 12), true));
    view_cache.serves(NEXT, at(12));
    complete_before.send(found("old", 10)).unwrap();
    complete_between.send(found("old", 10)).unwrap();
    before.await.unwrap().unwrap();
    between.await.unwrap().unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(read(&view_cache, name, found("new", 12)).await, (found("new", 12), true));
        assert_eq!(read(&view_cache, name, found("?", 12)).await, (found("new", 12), false));
    }
    assert_eq!(cache.stats().total.entries, 3);
}

#[tokio::test]
async fn a_build_may_be_served_at_an_earlier_position() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    let (reader, complete) = begin_load(&view_cache, "b").await;
    view_cache.serves(NEXT, at(3));
    complete.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    read(&view_cache, "a", found("new", 3)).await;
    assert_eq!(read(&view_cache, "a", found("?", 3)).await, (found("new", 3), false));
}

#[tokio::test]
async fn a_failed_swap_keeps_the_position_of_the_view() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    view_cache.swap_begins(NEXT);
    assert_eq!(read(&view_cache, "a", found("not cached", 10)).await, (found("not cached", 10), true));
    commit(&view_cache, &["a"], 10, 11);
    view_cache.swap_failed(NEXT);
    assert_eq!(read(&view_cache, "b", found("slow", 10)).await, (found("slow", 10), true));
    assert_eq!(read(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
}

#[tokio::test]
async fn during_a_swap_the_worker_of_the_old_build_does_not_open_the_cache() {
    let (_, view_cache) = view();
    view_cache.swap_begins(NEXT);
    view_cache.serves(SERVED, at(11));
    assert_caches(&view_cache, false).await;
    view_cache.serves(NEXT, at(11));
    assert_caches(&view_cache, true).await;
    // If the successor is lost, the worker of the old build may.
    let (_, view_cache) = view();
    view_cache.swap_begins(NEXT);
    view_cache.loses(NEXT);
    view_cache.serves(SERVED, at(11));
    assert_caches(&view_cache, true).await;
}

#[tokio::test]
async fn a_cache_that_was_closed_during_a_swap_stays_closed_when_the_swap_fails() {
    let (_, view_cache) = view();
    view_cache.swap_begins(NEXT);
    view_cache.commit_begins(SERVED, &changes(&["a"], 10, 11));
    let moved = CommitError::Moved { expected: Position(10), found: Some(Position(11)) };
    view_cache.commit_ended(SERVED, at(11), &Err(moved));
    view_cache.swap_failed(NEXT);
    commit(&view_cache, &["a"], 10, 11);
    assert_caches(&view_cache, false).await;
    view_cache.serves(SERVED, at(11));
    assert_caches(&view_cache, true).await;
    view_cache.loses(NEXT);
    assert_caches(&view_cache, true).await;
    view_cache.loses(SERVED);
    assert_caches(&view_cache, false).await;
}

#[tokio::test]
async fn a_load_reveals_that_another_process_moves_the_view() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    assert_eq!(read(&view_cache, "b", found("b", 50)).await, (found("b", 50), true));
    for _ in 0..3 {
        assert_eq!(read(&view_cache, "a", found("new", 50)).await, (found("new", 50), true));
    }
    view_cache.serves(SERVED, at(50));
    read(&view_cache, "a", found("new", 50)).await;
    assert_eq!(read(&view_cache, "a", found("?", 50)).await, (found("new", 50), false));
}

#[tokio::test]
async fn a_commit_reveals_that_another_process_moves_the_view() {
    let (_, view_cache) = view();
    read(&view_cache, "a", found("old", 10)).await;
    view_cache.commit_begins(SERVED, &changes(&["b"], 10, 20));
    let moved = CommitError::Moved { expected: Position(10), found: Some(Position(15)) };
    view_cache.commit_ended(SERVED, at(20), &Err(moved));
    assert_eq!(read(&view_cache, "a", found("new", 15)).await, (found("new", 15), true));
    view_cache.serves(SERVED, at(15));
    assert_eq!(read(&view_cache, "a", found("new", 15)).await, (found("new", 15), true));
}

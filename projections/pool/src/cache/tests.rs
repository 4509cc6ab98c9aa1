//! Readers, a writer and loads in every order that matters, and the limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytesize::ByteSize;
use dormouse_config::Config;
use dormouse_kernel::{Chain, Position};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::key::Key;
use crate::query::{Page, Query};
use crate::store::{Advance, BuildNumber, CommitError, Error, Found, Offset, Row};

const SERVED: BuildNumber = BuildNumber(1);
const NEXT: BuildNumber = BuildNumber(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What the ledger says.
fn options() -> Options {
    Config::embedded().cache
}

/// A view that is at 10, and whose worker runs here.
fn view() -> (Cache, Arc<ViewCache>) {
    view_in(options())
}

fn view_in(options: Options) -> (Cache, Arc<ViewCache>) {
    let cache = Cache::new(options);
    let view_cache = cache.view_cache("orders");
    view_cache.serves(SERVED, at(10));
    (cache, view_cache)
}

fn at(position: u64) -> Offset {
    Offset { position: Position(position), chain: Chain::ROOT }
}

fn key(name: &str) -> Key {
    Key::from(name)
}

fn found(text: &str, at: u64) -> Found {
    Found { document: Some((text.into(), Position(1))), at: Position(at) }
}

/// What a reader is told, and whether that took a load.
async fn ask(view_cache: &ViewCache, name: &str, stored: Found) -> (Found, bool) {
    if let Some(found) = view_cache.document(&key(name)) {
        return (found, false);
    }
    let is_loaded = AtomicUsize::new(0);
    let load = async {
        is_loaded.store(1, Ordering::Relaxed);
        Ok(stored)
    };
    let told = view_cache.load_document(&key(name), load).await.unwrap();
    (told, is_loaded.into_inner() == 1)
}

/// A reader who misses, and whose load has begun.
async fn begins(view_cache: &Arc<ViewCache>, name: &str) -> (JoinHandle<Result<Found, Error>>, oneshot::Sender<Found>) {
    let (begun, has_begun) = oneshot::channel();
    let (ends, ended) = oneshot::channel();
    let (view_cache, key) = (Arc::clone(view_cache), key(name));
    let reader = tokio::spawn(async move {
        let load = async {
            begun.send(()).unwrap();
            Ok(ended.await.unwrap())
        };
        view_cache.load_document(&key, load).await
    });
    has_begun.await.unwrap();
    (reader, ends)
}

/// A reader who waits for somebody else's load.
async fn joins(view_cache: &Arc<ViewCache>, name: &str) -> JoinHandle<Result<Found, Error>> {
    let (joining, key) = (Arc::clone(view_cache), key(name));
    let misses = || view_cache.counts().usage().misses;
    let before = misses();
    let load = async { panic!("it need not be loaded twice") };
    let reader = tokio::spawn(async move { joining.load_document(&key, load).await });
    until(|| misses() > before).await;
    reader
}

async fn until(mut reached: impl FnMut() -> bool) {
    let reached = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("it comes so far in time");
}

fn changes(names: &[&str], from: u64, to: u64) -> Advance {
    let row = |name: &&str| Row { key: key(name), document: "new".to_owned(), position: Position(to) };
    Advance {
        from: Position(from),
        to: at(to),
        rows: names.iter().map(row).collect(),
        gone: Vec::new(),
        parked: Vec::new(),
        released: Vec::new(),
    }
}

fn commits(view_cache: &ViewCache, names: &[&str], from: u64, to: u64) {
    view_cache.writing(SERVED, &changes(names, from, to));
    view_cache.wrote(SERVED, at(to), &Ok(()));
}

fn lost() -> Result<(), CommitError> {
    Err(CommitError::Failed(Error::Unavailable("the answer got lost".to_owned())))
}

#[tokio::test]
async fn a_document_is_loaded_once_and_stays_until_it_is_written() {
    let (cache, view_cache) = view();
    assert_eq!(ask(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    assert_eq!(ask(&view_cache, "a", found("?", 10)).await, (found("old", 10), false));
    commits(&view_cache, &["a"], 10, 11);
    assert_eq!(ask(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    let Usage { hits, misses, loads, entries, evictions, .. } = cache.stats().total;
    assert_eq!((hits, misses, loads, entries, evictions), (1, 2, 2, 1, Evictions::default()));
}

#[tokio::test]
async fn a_document_that_goes_and_one_that_is_not_there_are_known_to_be_missing() {
    let (_, view_cache) = view();
    let missing = |at| Found { document: None, at: Position(at) };
    ask(&view_cache, "a", found("old", 10)).await;
    view_cache.writing(SERVED, &Advance { gone: vec![key("a")], ..changes(&[], 10, 11) });
    view_cache.wrote(SERVED, at(11), &Ok(()));
    assert_eq!(ask(&view_cache, "a", missing(11)).await, (missing(11), true));
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (missing(11), false));
    commits(&view_cache, &["a"], 11, 12);
    assert_eq!(ask(&view_cache, "a", found("new", 12)).await, (found("new", 12), true));
}

#[tokio::test]
async fn what_did_not_change_is_as_fresh_as_the_view() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    commits(&view_cache, &["b"], 10, 20);
    commits(&view_cache, &[], 20, 30);
    assert_eq!(ask(&view_cache, "a", found("?", 30)).await, (found("old", 30), false));
}

#[tokio::test]
async fn who_saw_a_commit_in_one_document_does_not_find_the_view_further_back_at_the_next() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    view_cache.writing(SERVED, &changes(&["b"], 10, 20));
    // Visible, and the worker has not been told yet.
    assert_eq!(ask(&view_cache, "b", found("new", 20)).await, (found("new", 20), true));
    assert_eq!(ask(&view_cache, "a", found("?", 20)).await, (found("old", 20), false));
}

#[tokio::test]
async fn a_load_that_a_write_overtakes_is_not_kept() {
    let (_, view_cache) = view();
    let (reader, ends) = begins(&view_cache, "a").await;
    commits(&view_cache, &["a"], 10, 11);
    ends.send(found("old", 10)).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), found("old", 10));
    assert_eq!(ask(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
}

#[tokio::test]
async fn a_load_that_another_documents_write_overtakes_is_kept() {
    let (_, view_cache) = view();
    let (reader, ends) = begins(&view_cache, "a").await;
    commits(&view_cache, &["b"], 10, 11);
    ends.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("old", 11), false));
}

#[tokio::test]
async fn who_comes_after_a_write_does_not_wait_for_a_load_from_before() {
    let (_, view_cache) = view();
    let (reader, ends) = begins(&view_cache, "a").await;
    commits(&view_cache, &["a"], 10, 11);
    let told = tokio::time::timeout(PATIENCE, ask(&view_cache, "a", found("new", 11))).await;
    assert_eq!(told.expect("it does not wait"), (found("new", 11), true));
    ends.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
}

#[tokio::test]
async fn who_joins_a_load_is_told_what_is_true_where_it_saw_the_view() {
    let (_, view_cache) = view();
    let (reader, ends) = begins(&view_cache, "a").await;
    commits(&view_cache, &["b"], 10, 20);
    let second = joins(&view_cache, "a").await;
    ends.send(found("old", 10)).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), found("old", 10));
    assert_eq!(second.await.unwrap().unwrap(), found("old", 20));
}

#[tokio::test]
async fn what_an_open_commit_changes_is_neither_kept_nor_shared() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    view_cache.writing(SERVED, &changes(&["a"], 10, 11));
    let (reader, ends) = begins(&view_cache, "a").await;
    // The commit becomes visible; whoever has seen that asks, while the other's answer is still under way.
    let told = tokio::time::timeout(PATIENCE, ask(&view_cache, "a", found("new", 11))).await;
    assert_eq!(told.expect("it does not wait"), (found("new", 11), true));
    view_cache.wrote(SERVED, at(11), &Ok(()));
    ends.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    assert_eq!(ask(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_may_happen_at_any_time() {
    let (_, view_cache) = view();
    view_cache.writing(SERVED, &changes(&["a"], 10, 11));
    view_cache.wrote(SERVED, at(11), &lost());
    assert_eq!(ask(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    // The worker finds the view where it was; then the commit happens after all.
    view_cache.serves(SERVED, at(10));
    assert_eq!(ask(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    assert_eq!(ask(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    // Only after another one it cannot any more.
    view_cache.serves(SERVED, at(11));
    commits(&view_cache, &["b"], 11, 12);
    assert_eq!(ask(&view_cache, "a", found("new", 12)).await, (found("new", 12), true));
    assert_eq!(ask(&view_cache, "a", found("?", 12)).await, (found("new", 12), false));
}

#[tokio::test]
async fn a_release_that_is_lost_may_happen_until_the_view_moves_on() {
    let (_, view_cache) = view();
    // Parked events are projected where the view is.
    view_cache.writing(SERVED, &changes(&["a"], 10, 10));
    view_cache.wrote(SERVED, at(10), &lost());
    for again in [&["a"][..], &["b"], &[]] {
        commits(&view_cache, again, 10, 10);
        assert_eq!(ask(&view_cache, "a", found("not kept", 10)).await, (found("not kept", 10), true));
    }
    assert_eq!(ask(&view_cache, "b", found("not kept", 10)).await, (found("not kept", 10), true));
    commits(&view_cache, &[], 10, 11);
    assert_eq!(ask(&view_cache, "a", found("kept", 11)).await, (found("kept", 11), true));
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("kept", 11), false));
    // One that succeeds is over, also where it was.
    commits(&view_cache, &["a"], 11, 11);
    ask(&view_cache, "a", found("kept", 11)).await;
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("kept", 11), false));
}

async fn assert_keeps(view_cache: &ViewCache, keeps: bool) {
    ask(view_cache, "a", found("first", 11)).await;
    assert_eq!(ask(view_cache, "a", found("second", 11)).await.1, !keeps);
}

#[tokio::test]
async fn a_build_that_does_not_take_its_place_after_all_leaves_the_view_as_far_as_it_is() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    let closed = view_cache.gives_way_to(NEXT);
    assert_eq!(ask(&view_cache, "a", found("not kept", 10)).await, (found("not kept", 10), true));
    commits(&view_cache, &["a"], 10, 11);
    view_cache.reopens(closed);
    assert_eq!(ask(&view_cache, "b", found("slow", 10)).await, (found("slow", 10), true));
    assert_eq!(ask(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
}

#[tokio::test]
async fn the_worker_of_what_is_being_replaced_does_not_open_the_shelf() {
    let (_, view_cache) = view();
    view_cache.gives_way_to(NEXT);
    view_cache.serves(SERVED, at(11));
    assert_keeps(&view_cache, false).await;
    view_cache.serves(NEXT, at(11));
    assert_keeps(&view_cache, true).await;
    // Nor for ever: if its successor is gone, it may.
    let (_, view_cache) = view();
    view_cache.gives_way_to(NEXT);
    view_cache.loses(NEXT);
    view_cache.serves(SERVED, at(11));
    assert_keeps(&view_cache, true).await;
}

#[tokio::test]
async fn a_shelf_that_was_closed_for_another_reason_meanwhile_stays_closed() {
    let (_, view_cache) = view();
    let closed = view_cache.gives_way_to(NEXT);
    view_cache.writing(SERVED, &changes(&["a"], 10, 11));
    let moved = CommitError::Moved { expected: Position(10), found: Some(Position(11)) };
    view_cache.wrote(SERVED, at(11), &Err(moved));
    view_cache.reopens(closed);
    commits(&view_cache, &["a"], 10, 11);
    assert_keeps(&view_cache, false).await;
    view_cache.serves(SERVED, at(11));
    assert_keeps(&view_cache, true).await;
    view_cache.loses(NEXT);
    assert_keeps(&view_cache, true).await;
    view_cache.loses(SERVED);
    assert_keeps(&view_cache, false).await;
}

#[tokio::test]
async fn a_worker_that_starts_again_finds_what_is_still_true() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    ask(&view_cache, "b", found("old", 10)).await;
    // It dies over its commit, which happened: nobody says how it ended.
    view_cache.writing(SERVED, &changes(&["b"], 10, 11));
    view_cache.serves(SERVED, at(11));
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("old", 11), false));
    assert_eq!(ask(&view_cache, "b", found("new", 11)).await, (found("new", 11), true));
}

#[tokio::test]
async fn nothing_is_kept_of_a_view_whose_worker_does_not_run_here() {
    let cache = Cache::new(options());
    let view_cache = cache.view_cache("orders");
    for _ in 0..3 {
        assert_eq!(ask(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
    }
}

#[tokio::test]
async fn somebody_else_who_moves_the_view_is_noticed_by_a_load() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    assert_eq!(ask(&view_cache, "b", found("b", 50)).await, (found("b", 50), true));
    for _ in 0..3 {
        assert_eq!(ask(&view_cache, "a", found("new", 50)).await, (found("new", 50), true));
    }
    view_cache.serves(SERVED, at(50));
    ask(&view_cache, "a", found("new", 50)).await;
    assert_eq!(ask(&view_cache, "a", found("?", 50)).await, (found("new", 50), false));
}

#[tokio::test]
async fn somebody_else_who_moves_the_view_is_noticed_by_a_commit() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    view_cache.writing(SERVED, &changes(&["b"], 10, 20));
    let moved = CommitError::Moved { expected: Position(10), found: Some(Position(15)) };
    view_cache.wrote(SERVED, at(20), &Err(moved));
    assert_eq!(ask(&view_cache, "a", found("new", 15)).await, (found("new", 15), true));
    view_cache.serves(SERVED, at(15));
    assert_eq!(ask(&view_cache, "a", found("new", 15)).await, (found("new", 15), true));
}

#[tokio::test]
async fn another_build_begins_with_nothing() {
    let (cache, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    let (before, ends_before) = begins(&view_cache, "b").await;
    view_cache.closes();
    let (between, ends_between) = begins(&view_cache, "c").await;
    // Whoever comes while it is being put in its place asks the store, alone.
    assert_eq!(ask(&view_cache, "a", found("new", 12)).await, (found("new", 12), true));
    assert_eq!(ask(&view_cache, "b", found("new", 12)).await, (found("new", 12), true));
    assert_eq!(ask(&view_cache, "c", found("new", 12)).await, (found("new", 12), true));
    view_cache.serves(NEXT, at(12));
    ends_before.send(found("old", 10)).unwrap();
    ends_between.send(found("old", 10)).unwrap();
    before.await.unwrap().unwrap();
    between.await.unwrap().unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(ask(&view_cache, name, found("new", 12)).await, (found("new", 12), true));
        assert_eq!(ask(&view_cache, name, found("?", 12)).await, (found("new", 12), false));
    }
    assert_eq!(cache.stats().total.entries, 3);
}

#[tokio::test]
async fn a_build_that_begins_further_back_is_as_far_as_it_says() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    let (reader, ends) = begins(&view_cache, "b").await;
    view_cache.serves(NEXT, at(3));
    ends.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    ask(&view_cache, "a", found("new", 3)).await;
    assert_eq!(ask(&view_cache, "a", found("?", 3)).await, (found("new", 3), false));
}

#[tokio::test]
async fn a_build_that_is_made_beside_it_changes_nothing() {
    let (_, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    view_cache.writing(NEXT, &changes(&["a"], 90, 100));
    view_cache.wrote(NEXT, at(100), &Ok(()));
    assert_eq!(ask(&view_cache, "a", found("?", 10)).await, (found("old", 10), false));
}

#[tokio::test]
async fn a_hundred_readers_of_one_document_load_it_once() {
    let (cache, view_cache) = view();
    let (first, ends) = begins(&view_cache, "a").await;
    let mut readers = vec![first];
    for _ in 1..100 {
        readers.push(joins(&view_cache, "a").await);
    }
    assert_eq!(cache.stats().total.loading, 1);
    ends.send(found("a", 10)).unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap(), found("a", 10));
    }
    let Usage { misses, loads, loading, .. } = cache.stats().total;
    assert_eq!((misses, loads, loading), (100, 1, 0));
}

#[tokio::test]
async fn who_waits_for_a_reader_that_hangs_up_loads_it_itself() {
    let (cache, view_cache) = view();
    let (first, _ends) = begins(&view_cache, "a").await;
    let second = {
        let view_cache = Arc::clone(&view_cache);
        tokio::spawn(async move { view_cache.load_document(&key("a"), async { Ok(found("a", 10)) }).await })
    };
    until(|| view_cache.counts().usage().misses == 2).await;
    first.abort();
    assert_eq!(second.await.unwrap().unwrap(), found("a", 10));
    assert_eq!(ask(&view_cache, "a", found("?", 10)).await, (found("a", 10), false));
    assert_eq!(cache.stats().total.loading, 0);
}

#[tokio::test]
async fn a_failed_load_is_told_to_all_and_kept_by_nobody() {
    let (_, view_cache) = view();
    let (fails, failed) = oneshot::channel::<()>();
    let first = {
        let view_cache = Arc::clone(&view_cache);
        tokio::spawn(async move {
            let load = async {
                failed.await.unwrap();
                Err(Error::Unavailable("a test wants it".to_owned()))
            };
            view_cache.load_document(&key("a"), load).await
        })
    };
    until(|| view_cache.counts().usage().loading == 1).await;
    let second = joins(&view_cache, "a").await;
    fails.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap_err(), second.await.unwrap().unwrap_err());
    assert_eq!(ask(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
}

#[tokio::test]
async fn a_store_that_shows_less_than_before_is_believed_and_not_kept() {
    let (_, view_cache) = view();
    assert_eq!(ask(&view_cache, "a", found("old", 7)).await, (found("old", 7), true));
    assert_eq!(ask(&view_cache, "a", found("new", 10)).await, (found("new", 10), true));
    assert_eq!(ask(&view_cache, "a", found("?", 10)).await, (found("new", 10), false));
}

/// A list of the first so many, and whether that took a load.
async fn list(view_cache: &ViewCache, limit: usize, position: u64) -> (Page, bool) {
    let is_loaded = AtomicUsize::new(0);
    let page = Page { rows: Vec::new(), at: Position(position), total: Some(position), next: None };
    let load = async {
        is_loaded.store(1, Ordering::Relaxed);
        Ok(page)
    };
    let page = view_cache.list(&Query::all(limit), load).await.unwrap();
    (page, is_loaded.into_inner() == 1)
}

#[tokio::test]
async fn a_list_stays_until_any_document_changes() {
    let (cache, view_cache) = view();
    let page = |total, at| Page { rows: Vec::new(), at: Position(at), total: Some(total), next: None };
    assert_eq!(list(&view_cache, 5, 10).await, (page(10, 10), true));
    assert_eq!(list(&view_cache, 6, 10).await, (page(10, 10), true));
    commits(&view_cache, &[], 10, 11);
    assert_eq!(list(&view_cache, 5, 11).await, (page(10, 11), false));
    view_cache.writing(SERVED, &changes(&["a"], 11, 12));
    assert_eq!(cache.stats().total.entries, 0, "what is out of date takes no room");
    assert_eq!(list(&view_cache, 5, 11).await, (page(11, 11), true));
    view_cache.wrote(SERVED, at(12), &Ok(()));
    assert_eq!(list(&view_cache, 5, 12).await, (page(12, 12), true));
    assert_eq!(list(&view_cache, 5, 12).await, (page(12, 12), false));
}

#[tokio::test]
async fn lists_that_have_gone_are_not_remembered_for_ever() {
    let (cache, view_cache) = view_in(Options { entries: 10.try_into().unwrap(), ..options() });
    for limit in 1..2000 {
        list(&view_cache, limit, 10).await;
    }
    assert!(cache.stats().total.entries <= 10);
    list(&view_cache, 2000, 10).await;
    assert!(view_cache.listed() < 600, "{}", view_cache.listed());
    commits(&view_cache, &["a"], 10, 11);
    assert_eq!(view_cache.listed(), 0);
}

#[tokio::test]
async fn neither_number_nor_bytes_exceed_their_bounds() {
    let bound = 1 << 20;
    let (cache, view_cache) =
        view_in(Options { entries: 100.try_into().unwrap(), size: ByteSize::b(bound), ..options() });
    let texts = ["x".repeat(10), "x".repeat(3000), "x".repeat(60_000)];
    for (number, text) in texts.iter().cycle().take(3000).enumerate() {
        ask(&view_cache, &number.to_string(), found(text, 10)).await;
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
async fn an_answer_goes_when_its_time_is_over() {
    let (cache, view_cache) = view_in(Options { ttl: Duration::from_millis(20), ..options() });
    ask(&view_cache, "a", found("a", 10)).await;
    until(|| cache.stats().total.evictions.expired == 1).await;
    assert_eq!(ask(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
    let Usage { bytes, entries, .. } = cache.stats().views["orders"];
    assert!(entries <= 1 && bytes < 1000);
}

#[tokio::test]
async fn options_change_while_it_is_used() {
    let (cache, view_cache) = view();
    ask(&view_cache, "a", found("old", 10)).await;
    let (reader, ends) = begins(&view_cache, "b").await;
    cache.configure(Options { enabled: false, ..options() });
    ends.send(found("b", 10)).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), found("b", 10));
    for _ in 0..2 {
        assert_eq!(ask(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
        assert!(list(&view_cache, 5, 10).await.1);
    }
    assert_eq!((cache.stats().total.entries, cache.stats().total.bytes), (0, 0));
    // What is written meanwhile is known when it is on again, also if the commit is under way at that moment.
    view_cache.writing(SERVED, &changes(&["a"], 10, 11));
    cache.configure(Options { entries: 7.try_into().unwrap(), ..options() });
    assert_eq!(ask(&view_cache, "a", found("old", 10)).await, (found("old", 10), true));
    view_cache.wrote(SERVED, at(11), &Ok(()));
    assert_eq!(ask(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
    assert_eq!(cache.stats().options.entries.get(), 7);
    // The same again changes nothing.
    cache.configure(cache.stats().options);
    assert_eq!(ask(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
}

#[tokio::test]
async fn one_view_is_cleared_or_all() {
    let (cache, view_cache) = view();
    let other = cache.view_cache("customers");
    other.serves(NEXT, at(10));
    for view_cache in [&view_cache, &other] {
        ask(view_cache, "a", found("a", 10)).await;
        ask(view_cache, "b", found("b", 10)).await;
    }
    assert_eq!(cache.clear(Some("nobody's")), None);
    assert_eq!(cache.clear(Some("orders")), Some(2));
    assert_eq!(cache.stats().views["orders"].entries, 0);
    assert_eq!(cache.stats().views["customers"].entries, 2);
    assert_eq!(ask(&other, "a", found("?", 10)).await, (found("a", 10), false));
    assert_eq!(ask(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
    assert_eq!(cache.clear(None), Some(3));
    assert_eq!(cache.stats().total.bytes, 0);
}

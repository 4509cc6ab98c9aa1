//! Readers, the worker and loads in every order that matters, and the limits.

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
use crate::store::{Advance, BuildNumber, CommitError, DocumentAt, Error, Offset, Row};

mod builds;
mod commits;
mod limits;
mod loads;

const SERVED: BuildNumber = BuildNumber(1);
const NEXT: BuildNumber = BuildNumber(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// The default options.
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

fn found(text: &str, at: u64) -> DocumentAt {
    DocumentAt { document: Some((text.into(), Position(1))), at: Position(at) }
}

/// What a reader gets, and whether that took a load. The store holds `stored`.
async fn read(view_cache: &ViewCache, name: &str, stored: DocumentAt) -> (DocumentAt, bool) {
    if let Some(found) = view_cache.document(&key(name)) {
        return (found, false);
    }
    let is_loaded = AtomicUsize::new(0);
    let load = async {
        is_loaded.store(1, Ordering::Relaxed);
        Ok(stored)
    };
    let loaded = view_cache.load_document(&key(name), load).await.unwrap();
    (loaded, is_loaded.into_inner() == 1)
}

/// A reader that leads a load, and a sender that completes the load.
async fn begin_load(
    view_cache: &Arc<ViewCache>,
    name: &str,
) -> (JoinHandle<Result<DocumentAt, Error>>, oneshot::Sender<DocumentAt>) {
    let (begun, has_begun) = oneshot::channel();
    let (complete, ended) = oneshot::channel();
    let (view_cache, key) = (Arc::clone(view_cache), key(name));
    let reader = tokio::spawn(async move {
        let load = async {
            begun.send(()).unwrap();
            Ok(ended.await.unwrap())
        };
        view_cache.load_document(&key, load).await
    });
    has_begun.await.unwrap();
    (reader, complete)
}

/// A reader that waits for the load of another.
async fn join_load(view_cache: &Arc<ViewCache>, name: &str) -> JoinHandle<Result<DocumentAt, Error>> {
    let (joining, key) = (Arc::clone(view_cache), key(name));
    let misses = || view_cache.counts().usage().misses;
    let before = misses();
    let load = async { panic!("the document is loaded only once") };
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
    tokio::time::timeout(PATIENCE, reached).await.expect("the condition is met in time");
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

fn commit(view_cache: &ViewCache, names: &[&str], from: u64, to: u64) {
    view_cache.commit_begins(SERVED, &changes(names, from, to));
    view_cache.commit_ended(SERVED, at(to), &Ok(()));
}

fn lost() -> Result<(), CommitError> {
    Err(CommitError::Failed(Error::Unavailable("the reply got lost".to_owned())))
}

async fn assert_caches(view_cache: &ViewCache, caches: bool) {
    read(view_cache, "a", found("first", 11)).await;
    assert_eq!(read(view_cache, "a", found("second", 11)).await.1, !caches);
}

/// What a reader of the first `limit` documents gets, and whether that took a load. The view is at `position`.
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

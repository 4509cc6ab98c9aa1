//! A build takes the place of another while readers and operators read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dormouse_harness::Postgres as Server;
use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Begin, Error, Offset, Postgres};
use dormouse_projections::{Definition, Query, ViewStore};
use sqlx::{Connection, PgConnection};

use super::{open, query};
use crate::support::{begun, first, key, limits, loaded, offset, postgres_url, row, served, step};

/// The tables with names of tables of views.
const TABLES: &str = "SELECT string_agg(tablename, ' ' ORDER BY 1) FROM pg_tables WHERE tablename LIKE 'view\\_%'";

/// The number of documents in each build. Each document contains the number of its build.
const DOCUMENTS: u64 = 50;

async fn build_with_documents(
    store: &Arc<dyn ViewStore>,
    view: &Definition,
    number: u64,
) -> dormouse_projections::store::BuildNumber {
    let build = store.begin(view, Offset::START, Begin::Beside).await.unwrap().number;
    let rows = (0..DOCUMENTS).map(|name| row(&format!("{name:02}"), &format!(r#"{{"status":"{number}"}}"#), 1));
    store.commit(view, build, Advance { rows: rows.collect(), ..step(0, number) }).await.unwrap();
    build
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_build_or_the_new_one_and_never_fail() {
    const SWAPS: u64 = 30;

    let (url, view) = (Server::shared().create_database(), first());
    let stores = [open(&url).await, open(&url).await];
    build_with_documents(&stores[0], &view, 1).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let reads = [const { AtomicU64::new(0) }; 4].map(Arc::new);
    let readers: Vec<_> = (0..reads.len())
        .map(|reader| {
            let (store, view, is_over) = (Arc::clone(&stores[reader % 2]), view.clone(), Arc::clone(&is_over));
            let reads = Arc::clone(&reads[reader]);
            tokio::spawn(async move {
                let mut last = 0;
                while !is_over.load(Ordering::Acquire) {
                    let query = Query::all(100).sort(&view, "status", reader % 2 == 0).unwrap().counting();
                    let page = store.list(&view, &query).await.unwrap();
                    assert_eq!((page.rows.len() as u64, page.total), (DOCUMENTS, Some(DOCUMENTS)));
                    let expected = format!(r#"{{"status":"{}"}}"#, page.at.0);
                    assert!(page.rows.iter().all(|row| row.document == expected), "{page:?}");
                    let found = store.get(&view, &key("07")).await.unwrap();
                    assert_eq!(found.document.unwrap().0.as_ref(), format!(r#"{{"status":"{}"}}"#, found.at.0));
                    assert!(last <= page.at.0 && page.at <= found.at);
                    last = found.at.0;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let operator = tokio::spawn({
        let (url, is_over) = (url.clone(), Arc::clone(&is_over));
        async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            while !is_over.load(Ordering::Acquire) {
                let counted = sqlx::query_as(
                    "SELECT count(*), count(DISTINCT document ->> 'status') FROM dormouse_views.view_first",
                );
                let counted: (i64, i64) = counted.fetch_one(&mut connection).await.unwrap();
                assert_eq!(counted, (DOCUMENTS as i64, 1));
            }
        }
    });
    let wants_more =
        |reader: usize| !readers[reader].is_finished() && reads[reader].load(Ordering::Relaxed) <= SWAPS / 2;
    // At least so many, and until each reader has met some.
    let mut number = 1;
    while number < SWAPS || (0..readers.len()).any(wants_more) {
        number += 1;
        assert!(number < 1000, "the readers read too little");
        let next = build_with_documents(&stores[0], &view, number).await;
        assert!(stores[0].serve(&view, next).await.unwrap());
        assert_eq!(served(&stores[1], &view).await, (next, offset(number)));
    }
    is_over.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
    operator.await.unwrap();
    stores[0].prepare(&view).await.unwrap();
    assert_eq!(query(&url, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'view\\_%'"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_read_of_an_operator_delays_a_swap_and_no_reader() {
    let (url, view) = (Server::shared().create_database(), first());
    let mut limits = limits();
    limits.lock_timeout = Duration::from_millis(400);
    let opened = Postgres::open(&postgres_url(&url), &[], Postgres::SCHEMA, 4, &limits).await;
    let store: Arc<dyn ViewStore> = Arc::new(opened.unwrap());
    build_with_documents(&store, &view, 1).await;
    let next = build_with_documents(&store, &view, 2).await;
    let mut operator = PgConnection::connect(&url).await.unwrap();
    let mut reading = operator.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM dormouse_views.view_first").execute(&mut *reading).await.unwrap();

    let swap = tokio::spawn({
        let (store, view) = (Arc::clone(&store), view.clone());
        async move { store.serve(&view, next).await }
    });
    while !swap.is_finished() {
        assert_eq!(store.get(&view, &key("07")).await.unwrap().at, Position(1));
    }
    let refused = swap.await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
    reading.commit().await.unwrap();
    assert!(store.serve(&view, next).await.unwrap());
    assert_eq!(store.get(&view, &key("07")).await.unwrap().at, Position(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_still_read_is_dropped_later() {
    let (url, view) = (Server::shared().create_database(), first());
    let mut limits = limits();
    limits.lock_timeout = Duration::from_millis(400);
    let opened = Postgres::open(&postgres_url(&url), &[], Postgres::SCHEMA, 4, &limits).await;
    let store: Arc<dyn ViewStore> = Arc::new(opened.unwrap());
    let old = build_with_documents(&store, &view, 1).await;
    let next = build_with_documents(&store, &view, 2).await;
    let mut operator = PgConnection::connect(&url).await.unwrap();
    let mut reading = operator.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM dormouse_views.view_first_1").execute(&mut *reading).await.unwrap();
    assert!(store.serve(&view, next).await.unwrap());
    assert_eq!(query(&url, TABLES), "view_first_1 view_first_2");
    // It belongs to no build.
    assert!(loaded(&*store, &view, old, &[key("07")]).await.is_err());
    reading.commit().await.unwrap();
    store.prepare(&view).await.unwrap();
    assert_eq!(query(&url, TABLES), "view_first_2");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_of_operators_on_a_view_stay() {
    let (url, view) = (Server::shared().create_database(), first());
    let store = open(&url).await;
    build_with_documents(&store, &view, 1).await;
    query(
        &url,
        "CREATE VIEW reports AS SELECT count(*) AS orders FROM view_first; GRANT SELECT ON view_first TO PUBLIC",
    );
    let next = build_with_documents(&store, &view, 2).await;
    assert!(store.serve(&view, next).await.unwrap());
    begun(&store, &view).await;
    assert_eq!(query(&url, "SELECT orders FROM reports"), "0");
    assert_eq!(query(&url, "SELECT has_table_privilege('public', 'view_first', 'SELECT')"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_indexes_of_operators_stay_whatever_their_names() {
    const THEIRS: &str = "SELECT count(*) FROM pg_class WHERE relname IN ('view_first_77', 'view_first_1__theirs')";
    let (url, view) = (Server::shared().create_database(), first());
    let store = open(&url).await;
    build_with_documents(&store, &view, 1).await;
    query(
        &url,
        "CREATE TABLE view_first_77 (a int); CREATE INDEX view_first_1__theirs ON view_first_1 (position);
         COMMENT ON TABLE view_first_1 IS NULL",
    );
    store.prepare(&view).await.unwrap();
    assert_eq!(query(&url, THEIRS), "2");
    // Their index is dropped with its table, which is ours, even if an earlier version created it.
    let next = build_with_documents(&store, &view, 2).await;
    assert!(store.serve(&view, next).await.unwrap());
    store.prepare(&view).await.unwrap();
    assert_eq!((query(&url, THEIRS), query(&url, TABLES)), ("1".to_owned(), "view_first_2 view_first_77".to_owned()));
}

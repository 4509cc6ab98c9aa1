//! What only PostgreSQL can be asked: its indexes, what operators and other nodes do beside us, a wire that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dormouse_harness::{Cut, Fault, Moment, Postgres as Server, Proxy, eventually};
use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Begin, Builds, CommitError, DocumentAt, Error, Offset, Parked, Postgres};
use dormouse_projections::{Definition, Fields, Key, Project, Projection, Query, Sources, Test, Value, ViewStore};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::{Connection, PgConnection};

use crate::support::{Nothing, begun, first, key, limits, loaded, offset, postgres_url, row, served, step, view};

/// Part of the statement that moves a build on, and of no other.
const COMMIT: &str = "INSERT INTO view_first_1";

async fn try_open(url: &str) -> Result<Arc<dyn ViewStore>, Error> {
    let opened = Postgres::open(&postgres_url(url), &[], Postgres::SCHEMA, 4, &limits()).await;
    opened.map(|store| Arc::new(store) as _)
}

async fn open(url: &str) -> Arc<dyn ViewStore> {
    try_open(url).await.unwrap()
}

/// Runs SQL as an operator does, in the schema of the views.
fn query(url: &str, sql: &str) -> String {
    Server::shared().query(url, &format!("SET search_path = dormouse_views; {sql}"))
}

/// A view with fields of every kind.
struct Kinds;

impl Projection for Kinds {
    const NAME: &'static str = "kinds";
    type Document = serde_json::Value;

    fn fields() -> Fields {
        Fields::none().text("text").integer("integer").real("deep.real").boolean("boolean")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Nothing>()
    }
}

impl Project<Nothing> for Kinds {
    fn keys(_: &dormouse_projections::Event<'_, Nothing>) -> dormouse_projections::Keys {
        dormouse_projections::Keys::none()
    }

    fn project(
        current: Option<Self::Document>,
        _: &dormouse_projections::Event<'_, Nothing>,
        _: &Key,
    ) -> Option<Self::Document> {
        current
    }
}

fn kinds() -> Definition {
    Definition::of::<Kinds>().unwrap()
}

async fn listed(store: &Arc<dyn ViewStore>, view: &Definition, query: &Query) -> Vec<String> {
    store.list(view, query).await.unwrap().rows.iter().map(|row| row.key.to_string()).collect()
}

/// The tables that are called like those of views.
const TABLES: &str = "SELECT string_agg(tablename, ' ' ORDER BY 1) FROM pg_tables WHERE tablename LIKE 'view\\_%'";

#[tokio::test(flavor = "multi_thread")]
async fn every_declared_field_has_an_index_and_no_other_does() {
    const INDEXES: &str =
        "SELECT indexname FROM pg_indexes WHERE tablename = 'view_first_1' AND indexname LIKE '%\\_\\_%' ORDER BY 1";

    let url = Server::shared().create_database();
    let store = open(&url).await;
    begun(&store, &first()).await;
    let oid = |name: &str| query(&url, &format!("SELECT '{name}'::regclass::oid"));
    let before = oid("view_first_1__customer_age");
    assert_eq!(query(&url, INDEXES), "view_first_1__customer_age\nview_first_1__status");
    store.prepare(&view::<1, 1, 2>()).await.unwrap();
    assert_eq!(query(&url, INDEXES), "view_first_1__customer_age\nview_first_1__paid");
    assert_eq!(oid("view_first_1__customer_age"), before, "what is there already stays");
    store.prepare(&view::<1, 1, 0>()).await.unwrap();
    assert_eq!(query(&url, INDEXES), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_an_index_however_small_the_table_and_never_analyzed() {
    const SCANS: &str = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname = 'view_kinds_1'";
    const USED: &str = "SELECT indexrelname FROM pg_stat_user_indexes WHERE idx_scan > 0 AND relname = 'view_kinds_1'
        AND indexrelname LIKE '%\\_\\_%' ORDER BY 1";
    const READ: &str = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'view_kinds_1'";

    for documents in [3, 5_000] {
        let (url, view) = (Server::shared().create_database(), kinds());
        // Nobody comes by and analyzes: that may take a minute, or longer.
        let store = open(&url).await;
        let build = begun(&store, &view).await;
        query(&url, "ALTER TABLE view_kinds_1 SET (autovacuum_enabled = off)");
        let document = |number: u64| {
            let (text, real) = (format!("{:05}", number / 2), number as f64 / 8.0);
            format!(r#"{{"text":"{text}","integer":{},"deep":{{"real":{real}}},"boolean":true}}"#, number % 100)
        };
        let rows: Vec<_> = (0..documents).map(|number| row(&format!("k-{number:05}"), &document(number), 1)).collect();
        store.commit(&view, build, Advance { rows: rows.clone(), ..step(0, 1) }).await.unwrap();
        store.close().await;
        all_is_counted(&url);
        // To make an index is to scan.
        let (scans, read) = (query(&url, SCANS), query(&url, READ).parse::<u64>().unwrap());

        let store = open(&url).await;
        let mut expected = 0;
        for (path, value) in [
            ("text", Value::Text("00001".to_owned())),
            ("integer", Value::Integer(2)),
            ("deep.real", Value::Real(0.25)),
        ] {
            for is_descending in [false, true] {
                let sorted = || Query::all(10).sort(&view, path, is_descending).unwrap();
                let page = store.list(&view, &sorted()).await.unwrap();
                assert_eq!(page.rows.len(), documents.min(10) as usize);
                let next = page.next.map(|place| sorted().after(place).unwrap());
                assert_eq!(next.is_some(), documents > 10);
                expected += 11;
                if let Some(next) = next {
                    assert_eq!(store.list(&view, &next).await.unwrap().rows.len(), 10);
                    // What has the same value as the last of the page before is looked at again.
                    expected += 11 + 50;
                }
            }
            let equal = Query::all(10).filter(&view, path, Test::Equal(value)).unwrap();
            assert!(listed(&store, &view, &equal).await.contains(&"k-00002".to_owned()));
            expected += 50;
        }
        let prefixed = Query::all(10).filter(&view, "text", Test::Prefix("0000".to_owned())).unwrap();
        assert!(!listed(&store, &view, &prefixed).await.is_empty());
        let all = Query::all(10).sort(&view, "boolean", false).unwrap();
        assert_eq!(store.list(&view, &all).await.unwrap().rows.len(), documents.min(10) as usize);
        for _ in 0..10 {
            assert!(store.get(&view, &key("k-00002")).await.unwrap().document.is_some());
            let keys = ["k-00000", "k-00001", "nobody"].map(key);
            assert_eq!(loaded(&*store, &view, build, &keys).await.unwrap().len(), 2);
        }
        let advance = Advance { rows: rows[..2].to_vec(), gone: vec![key("k-00002")], ..step(1, 2) };
        store.commit(&view, build, advance).await.unwrap();
        store.close().await;
        all_is_counted(&url);
        assert_eq!(query(&url, SCANS), scans);
        let used = ["boolean", "deep_real", "integer", "text"].map(|field| format!("view_kinds_1__{field}"));
        assert_eq!(query(&url, USED), used.join("\n"));
        let read = query(&url, READ).parse::<u64>().unwrap() - read;
        assert!(read <= expected + 200, "{read} entries were read, {expected} were needed");
    }
}

/// A server tells what was done on a connection when that ends at the latest, just before it is gone.
fn all_is_counted(url: &str) {
    const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    eventually("the end of all connections", Duration::from_secs(30), || query(url, OTHERS) == "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_document_makes_a_write_fail() {
    let (store, view) = (open(&Server::shared().create_database()).await, kinds());
    let build = begun(&store, &view).await;
    let mut runner = TestRunner::deterministic();
    // Nothing that could be compressed.
    let long = prop::collection::vec(any::<char>().prop_filter("NUL", |char| *char != '\0'), 4_000);
    let long: String = long.new_tree(&mut runner).unwrap().current().into_iter().collect();
    let values = [
        "null",
        "true",
        "false",
        "\"true\"",
        "\"\"",
        "\"1\"",
        "0",
        "-0",
        "-0.0",
        "1.5",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "1e5",
        "1E+5",
        "1e308",
        "1.8e308",
        "-1e309",
        "1e-323",
        "5e-324",
        "1e-324",
        "1e-999",
        "1e999999",
        "-1e999999",
        "{}",
        "[]",
        "{\"real\":{}}",
        "[1,\"2\",{\"real\":3}]",
        "\"\\u0001\\ud83d\\ude00\"",
    ];
    let mut values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    values.push(serde_json::to_string(&long).unwrap());
    values.push("9".repeat(5_000));
    values.push(format!("0.{}", "1".repeat(5_000)));
    let mut rows = Vec::new();
    for (number, value) in values.iter().enumerate() {
        // As long as a key may be.
        let name = format!("{number:0>24}{}", "€".repeat(1_000 / 3));
        rows.push(row(&format!("a{name}"), value, 1));
        let fields = format!(r#"{{"text":{value},"integer":{value},"deep":{{"real":{value}}},"boolean":{value}}}"#);
        rows.push(row(&format!("b{name}"), &fields, 1));
        rows.push(row(&format!("c{name}"), &format!(r#"{{"deep":{value}}}"#), 1));
    }
    let count = rows.len();
    for (at, row) in (0..).zip(rows) {
        let document = row.document.clone();
        let committed = store.commit(&view, build, Advance { rows: vec![row], ..step(at, at + 1) }).await;
        assert_eq!(committed, Ok(()), "{}", &document[..document.len().min(200)]);
    }
    for field in ["text", "integer", "deep.real", "boolean"] {
        for is_descending in [false, true] {
            // Page by page, each document comes once.
            let (mut found, mut query) = (Vec::new(), Query::all(7).sort(&view, field, is_descending).unwrap());
            loop {
                let page = store.list(&view, &query).await.unwrap();
                found.extend(page.rows.into_iter().map(|row| row.key));
                let Some(place) = page.next else { break };
                query = Query::all(7).sort(&view, field, is_descending).unwrap().after(place).unwrap();
            }
            assert_eq!(found.len(), count, "{field}");
            found.sort();
            found.dedup();
            assert_eq!(found.len(), count, "{field}");
        }
    }
    // What is not of the kind is not there.
    let numbers = Query::all(1_000).filter(&view, "integer", Test::AtLeast(Value::Integer(i64::MIN.into()))).unwrap();
    assert_eq!(listed(&store, &view, &numbers).await.len(), 6);
    let truths = Query::all(1_000).filter(&view, "boolean", Test::AtLeast(Value::Boolean(false))).unwrap();
    assert_eq!(listed(&store, &view, &truths).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_is_found_by_itself() {
    let (store, view) = (open(&Server::shared().create_database()).await, kinds());
    let build = begun(&store, &view).await;
    let mut runner = TestRunner::deterministic();
    let mut reals = vec![0.1, 0.1 + 0.2, 1e16, 1e23, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 0.0, -1.5];
    let mut integers = vec![0, 1, -1, i64::MAX, i64::MIN, 1_000_000_000_000_000_000, -999_999_999_999_999_999];
    for _ in 0..200 {
        reals.push(any::<f64>().new_tree(&mut runner).unwrap().current());
        integers.push(any::<i64>().new_tree(&mut runner).unwrap().current());
    }
    reals.retain(|real| real.is_finite());
    let real = |(number, value): (usize, &f64)| {
        let document = serde_json::json!({ "deep": { "real": value } });
        row(&format!("real-{number:03}"), &document.to_string(), 1)
    };
    let integer = |(number, value): (usize, &i64)| {
        row(&format!("integer-{number:03}"), &serde_json::json!({ "integer": value }).to_string(), 1)
    };
    let mut rows: Vec<_> = reals.iter().enumerate().map(real).chain(integers.iter().enumerate().map(integer)).collect();
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    store.commit(&view, build, Advance { rows, ..step(0, 1) }).await.unwrap();
    for (number, value) in reals.iter().enumerate() {
        let equal = Query::all(1_000).filter(&view, "deep.real", Test::Equal(Value::Real(*value))).unwrap();
        assert!(listed(&store, &view, &equal).await.contains(&format!("real-{number:03}")), "{value:e}");
    }
    for (number, value) in integers.iter().enumerate() {
        let equal = Query::all(1_000).filter(&view, "integer", Test::Equal(Value::Integer((*value).into()))).unwrap();
        assert!(listed(&store, &view, &equal).await.contains(&format!("integer-{number:03}")), "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_is_nowhere_and_whoever_asks_for_it_gets_an_answer() {
    let (store, view) = (open(&Server::shared().create_database()).await, kinds());
    let build = begun(&store, &view).await;
    let rows = vec![row("a\u{1}", r#"{"text":"a"}"#, 1)];
    let parked = Parked {
        aggregate: dormouse_kernel::AggregateRef::new(
            dormouse_kernel::AggregateType::new("account").unwrap(),
            dormouse_kernel::AggregateId::new("a").unwrap(),
        ),
        version: dormouse_kernel::Version(1),
        position: Position(1),
        reason: Some("the projection panicked: \0".to_owned()),
        attempts: 1,
    };
    store.commit(&view, build, Advance { rows, parked: vec![parked], ..step(0, 1) }).await.unwrap();
    assert_eq!(store.parked(build, None, Position(0), 10).await.unwrap().len(), 1);
    assert_eq!(store.get(&view, &key("a\0")).await.unwrap(), DocumentAt { document: None, at: Position(1) });
    let with_nul = || Value::Text("a\0".to_owned());
    let found = [Test::Equal(with_nul()), Test::Less(with_nul()), Test::Prefix("a\0".to_owned())].map(|test| {
        let (store, view) = (Arc::clone(&store), view.clone());
        async move { listed(&store, &view, &Query::all(10).filter(&view, "text", test).unwrap()).await.len() }
    });
    let [equal, less, prefixed] = found;
    assert_eq!((equal.await, less.await, prefixed.await), (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_open_a_new_schema_together_both_succeed() {
    let url = Server::shared().create_database();
    let (one, other) = tokio::join!(try_open(&url), try_open(&url));
    let build = begun(&one.unwrap(), &first()).await;
    assert_eq!(served(&other.unwrap(), &first()).await, (build, Offset::START));
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_apart() {
    let url = Server::shared().create_database();
    let in_schema = async |schema: &str| -> Result<Arc<dyn ViewStore>, Error> {
        let opened = Postgres::open(&postgres_url(&url), &[], schema, 4, &limits()).await;
        opened.map(|store| Arc::new(store) as _)
    };
    let (one, other) = (in_schema("one").await.unwrap(), in_schema("other").await.unwrap());
    begun(&one, &first()).await;
    assert_eq!(other.prepare(&first()).await.unwrap(), Builds::default());
    for name in ["", "1a", "A", "a;b", "a b", "pg_views", "\"", &"a".repeat(64)] {
        let refused = in_schema(name).await.unwrap_err();
        assert!(refused.to_string().contains("is no name of a schema"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_does_not_fit_is_refused_and_says_why() {
    let server = Server::shared();
    let newer = server.create_database();
    let build = begun(&open(&newer).await, &first()).await;
    query(&newer, "INSERT INTO dormouse_views_schema (version) VALUES (99)");
    let refused = try_open(&newer).await.unwrap_err();
    assert!(refused.to_string().contains("has version 99, this binary knows it up to 3"), "{refused}");
    assert_eq!(query(&newer, "SELECT build FROM builds"), build.0.to_string());

    let foreign = server.create_database();
    server.query(&foreign, "CREATE SCHEMA dormouse_views; CREATE TABLE dormouse_views.builds (house text)");
    let refused = try_open(&foreign).await.unwrap_err();
    assert!(refused.to_string().contains("is something else's"), "{refused}");
    assert_eq!(query(&foreign, "SELECT count(*) FROM builds"), "0");

    let theirs = server.create_database();
    server.query(&theirs, "CREATE ROLE guest LOGIN");
    let refused = try_open(&theirs.replace("postgres@", "guest@")).await.unwrap_err();
    assert!(refused.to_string().contains("have it made, and owned by this user"), "{refused}");
    server.query(&theirs, "CREATE SCHEMA dormouse_views AUTHORIZATION guest");
    begun(&open(&theirs.replace("postgres@", "guest@")).await, &first()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_named_without_its_password() {
    let refused = try_open("postgres://me:hunter2@127.0.0.1:1/nowhere").await.unwrap_err().to_string();
    assert!(refused.contains("postgres://me:***@127.0.0.1:1/nowhere") && !refused.contains("hunter2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_commit_that_is_cut_off_prepare_tells_whether_it_happened() {
    let view = first();
    let proxy = Proxy::before(&Server::shared().create_database());
    let store = open(proxy.url()).await;
    let build = begun(&store, &view).await;
    let mut at = 0;
    for moment in [Moment::BeforeRequest, Moment::BeforeCommit, Moment::BeforeAnswer] {
        for cut in [Cut::Fin, Cut::Reset] {
            proxy.strike(COMMIT, moment, Fault::Cut(cut));
            let advance = || Advance { rows: vec![row("a", &(at + 1).to_string(), at + 1)], ..step(at, at + 1) };
            let lost = store.commit(&view, build, advance()).await.unwrap_err();
            assert!(matches!(lost, CommitError::Failed(Error::Unavailable(_))), "{lost}");
            assert!(proxy.has_struck());
            let happened = moment == Moment::BeforeAnswer;
            if !happened {
                // Only the server knows when it has given it up: until then the row is locked, and whoever comes waits.
                assert_eq!(served(&store, &view).await, (build, offset_or_start(at)));
                store.commit(&view, build, advance()).await.unwrap();
            }
            at += 1;
            assert_eq!(served(&store, &view).await, (build, offset(at)));
            let found = store.get(&view, &key("a")).await.unwrap();
            assert_eq!(found, DocumentAt { document: Some((at.to_string().into(), Position(at))), at: Position(at) });
        }
    }
}

fn offset_or_start(at: u64) -> Offset {
    if at == 0 { Offset::START } else { offset(at) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_late_changes_nothing_that_was_moved_on_meanwhile() {
    let view = first();
    let url = Server::shared().create_database();
    let proxy = Proxy::before(&url);
    let (late, other) = (open(proxy.url()).await, open(&url).await);
    let build = begun(&other, &view).await;
    proxy.strike(COMMIT, Moment::BeforeRequest, Fault::Hold);
    let held = tokio::spawn({
        let view = view.clone();
        async move { late.commit(&view, build, Advance { rows: vec![row("a", "0", 1)], ..step(0, 1) }).await }
    });
    while !proxy.has_struck() {
        tokio::task::yield_now().await;
    }
    other.commit(&view, build, Advance { rows: vec![row("a", "1", 2)], ..step(0, 2) }).await.unwrap();
    proxy.restore();
    let refused = held.await.unwrap().unwrap_err();
    assert_eq!(refused, CommitError::Moved { expected: Position(0), found: Some(Position(2)) });
    let found = other.get(&view, &key("a")).await.unwrap();
    assert_eq!(found, DocumentAt { document: Some(("1".into(), Position(2))), at: Position(2) });
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_notice_that_their_connections_were_closed() {
    const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'dormouse views%'";

    let url = Server::shared().create_database();
    let (store, view) = (open(&url).await, first());
    let build = begun(&store, &view).await;
    for _ in 0..5 {
        store.get(&view, &key("a")).await.unwrap();
        loaded(&*store, &view, build, &[key("a")]).await.unwrap();
        assert_ne!(query(&url, TERMINATE), "0");
        store.get(&view, &key("a")).await.unwrap();
        loaded(&*store, &view, build, &[key("a")]).await.unwrap();
    }
}

/// Each build has so many documents, and they say which build they are of.
const DOCUMENTS: u64 = 50;

async fn filled(
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
async fn readers_see_the_old_build_or_the_new_one_and_never_wait_in_vain() {
    const SWAPS: u64 = 30;

    let (url, view) = (Server::shared().create_database(), first());
    let stores = [open(&url).await, open(&url).await];
    filled(&stores[0], &view, 1).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (store, view, is_over) = (Arc::clone(&stores[reader % 2]), view.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let (mut last, mut reads) = (0, 0);
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
                    reads += 1;
                }
                reads
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
    for number in 2..=SWAPS {
        let next = filled(&stores[0], &view, number).await;
        assert!(stores[0].serve(&view, next).await.unwrap());
        assert_eq!(served(&stores[1], &view).await, (next, offset(number)));
    }
    is_over.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.await.unwrap() > SWAPS / 2);
    }
    operator.await.unwrap();
    stores[0].prepare(&view).await.unwrap();
    assert_eq!(query(&url, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'view\\_%'"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_reads_for_long_delays_a_swap_and_nobody_else() {
    let (url, view) = (Server::shared().create_database(), first());
    let mut limits = limits();
    limits.lock_timeout = Duration::from_millis(400);
    let opened = Postgres::open(&postgres_url(&url), &[], Postgres::SCHEMA, 4, &limits).await;
    let store: Arc<dyn ViewStore> = Arc::new(opened.unwrap());
    filled(&store, &view, 1).await;
    let next = filled(&store, &view, 2).await;
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
async fn a_table_that_somebody_still_reads_goes_later() {
    let (url, view) = (Server::shared().create_database(), first());
    let mut limits = limits();
    limits.lock_timeout = Duration::from_millis(400);
    let opened = Postgres::open(&postgres_url(&url), &[], Postgres::SCHEMA, 4, &limits).await;
    let store: Arc<dyn ViewStore> = Arc::new(opened.unwrap());
    let old = filled(&store, &view, 1).await;
    let next = filled(&store, &view, 2).await;
    let mut operator = PgConnection::connect(&url).await.unwrap();
    let mut reading = operator.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM dormouse_views.view_first_1").execute(&mut *reading).await.unwrap();
    assert!(store.serve(&view, next).await.unwrap());
    assert_eq!(query(&url, TABLES), "view_first_1 view_first_2");
    // It is nobody's any more.
    assert!(loaded(&*store, &view, old, &[key("07")]).await.is_err());
    reading.commit().await.unwrap();
    store.prepare(&view).await.unwrap();
    assert_eq!(query(&url, TABLES), "view_first_2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_grant_on_a_view_stays() {
    let (url, view) = (Server::shared().create_database(), first());
    let store = open(&url).await;
    filled(&store, &view, 1).await;
    query(
        &url,
        "CREATE VIEW reports AS SELECT count(*) AS orders FROM view_first; GRANT SELECT ON view_first TO PUBLIC",
    );
    let next = filled(&store, &view, 2).await;
    assert!(store.serve(&view, next).await.unwrap());
    begun(&store, &view).await;
    assert_eq!(query(&url, "SELECT orders FROM reports"), "0");
    assert_eq!(query(&url, "SELECT has_table_privilege('public', 'view_first', 'SELECT')"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_broke_is_made_anew_when_the_view_is_prepared() {
    for harm in [
        "DROP TABLE view_first_1 CASCADE",
        "DROP VIEW view_first",
        "ALTER TABLE view_first_1 DROP COLUMN document CASCADE",
        "UPDATE builds SET chain = '\\x00'",
        "DROP TABLE builds",
        "DROP TABLE parked",
        "DROP SCHEMA dormouse_views CASCADE",
    ] {
        let (url, view, other) = (Server::shared().create_database(), first(), view::<2, 1, 0>());
        let store = open(&url).await;
        let build = begun(&store, &view).await;
        begun(&store, &other).await;
        store.commit(&view, build, Advance { rows: vec![row("a", "1", 1)], ..step(0, 1) }).await.unwrap();
        query(&url, harm);

        // Who works with it finds out, if not whoever prepares it.
        let read = store.get(&view, &key("a")).await;
        if !harm.contains("chain") {
            let advance = Advance { released: vec![Position(9)], ..step(1, 2) };
            let moved = store.commit(&view, build, advance).await;
            let is_told =
                matches!(read, Err(Error::Damaged(_))) || matches!(moved, Err(CommitError::Failed(Error::Damaged(_))));
            assert!(is_told, "{harm}: {read:?}, {moved:?}");
        }
        let found = store.prepare(&view).await.unwrap();
        assert_eq!(found, Builds::default(), "{harm}");
        let anew = begun(&store, &view).await;
        store.commit(&view, anew, Advance { rows: vec![row("a", "2", 1)], ..step(0, 1) }).await.unwrap();
        assert_eq!(store.get(&view, &key("a")).await.unwrap().document.unwrap().0.as_ref(), "2");
        assert_eq!(served(&store, &view).await, (anew, offset(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_indexes_of_operators_stay_whatever_they_are_called() {
    const THEIRS: &str = "SELECT count(*) FROM pg_class WHERE relname IN ('view_first_77', 'view_first_1__theirs')";
    let (url, view) = (Server::shared().create_database(), first());
    let store = open(&url).await;
    filled(&store, &view, 1).await;
    query(
        &url,
        "CREATE TABLE view_first_77 (a int); CREATE INDEX view_first_1__theirs ON view_first_1 (position);
         COMMENT ON TABLE view_first_1 IS NULL",
    );
    store.prepare(&view).await.unwrap();
    assert_eq!(query(&url, THEIRS), "2");
    // Their index goes with the table that it was on, which is ours, also if an earlier version made it.
    let next = filled(&store, &view, 2).await;
    assert!(store.serve(&view, next).await.unwrap());
    store.prepare(&view).await.unwrap();
    assert_eq!((query(&url, THEIRS), query(&url, TABLES)), ("1".to_owned(), "view_first_2 view_first_77".to_owned()));
}

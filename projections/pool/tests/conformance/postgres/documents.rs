//! What documents may contain, and how PostgreSQL finds them: through an index, in every statement.

use std::sync::Arc;
use std::time::Duration;

use dormouse_harness::{Postgres as Server, eventually};
use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, DocumentAt, Parked};
use dormouse_projections::{Definition, Fields, Key, Project, Projection, Query, Sources, Test, Value, ViewStore};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{open, query};
use crate::support::{Nothing, begun, first, key, loaded, row, step, view};

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
async fn every_statement_uses_an_index_however_small_the_table() {
    const SCANS: &str = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname = 'view_kinds_1'";
    const USED: &str = "SELECT indexrelname FROM pg_stat_user_indexes WHERE idx_scan > 0 AND relname = 'view_kinds_1'
        AND indexrelname LIKE '%\\_\\_%' ORDER BY 1";
    const READ: &str = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'view_kinds_1'";

    for documents in [3, 5_000] {
        let (url, view) = (Server::shared().create_database(), kinds());
        // Autovacuum is off, so the table is never analyzed. Otherwise that may take a minute or longer.
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
        // Creating an index scans the table, so the counts are taken after it.
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
                    // Documents with the same value as the last one of the page before are read again.
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

/// Waits until all connections have ended: a server adds the statistics of a connection when it ends at the latest.
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
    // Random, so that it cannot be compressed.
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
        // A key of the maximal length.
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
            // Page by page, each document is listed once.
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
    // A value of another kind counts as missing.
    let numbers = Query::all(1_000).filter(&view, "integer", Test::AtLeast(Value::Integer(i64::MIN.into()))).unwrap();
    assert_eq!(listed(&store, &view, &numbers).await.len(), 6);
    let truths = Query::all(1_000).filter(&view, "boolean", Test::AtLeast(Value::Boolean(false))).unwrap();
    assert_eq!(listed(&store, &view, &truths).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_is_found_by_an_equal_filter() {
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
async fn a_text_with_nul_can_be_queried_and_stored_as_a_reason() {
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

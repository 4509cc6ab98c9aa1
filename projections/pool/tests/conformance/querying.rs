//! Any query on any documents: a store finds what the [oracle] finds.

use std::collections::BTreeSet;

use dormouse_kernel::Position;
use dormouse_projections::{Definition, Key, Kind, Place as Behind, Projection, Query, QueryError, Test, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};

use crate::filled_view::{FilledView, TEXTS, Things, document, every_test, names, put, walk, whole};
use crate::oracle;
use crate::support::Place;

on_every_store! {
    any_query_finds_what_the_oracle_finds,
}

async fn any_query_finds_what_the_oracle_finds(place: Place) {
    let mut runner = TestRunner::deterministic();
    let mut filled = FilledView::empty(&place).await;
    for number in 0..30 {
        let documents = prop::collection::btree_map(any_name(), any_document(), 1..40).new_tree(&mut runner);
        let gone = prop::collection::btree_set(any_name(), 0..10).new_tree(&mut runner).unwrap().current();
        let documents = documents.unwrap().current();
        let gone: BTreeSet<String> = gone.into_iter().filter(|name| !documents.contains_key(name)).collect();
        filled.change(documents, gone.iter().map(String::as_str)).await;
        for _ in 0..12 {
            let (filters, sort, limit) = any_query().new_tree(&mut runner).unwrap().current();
            let ask = |limit: usize| {
                let query = filters.iter().fold(Query::all(limit), |query, (field, test)| {
                    query.filter(&filled.view, field, test.clone()).unwrap()
                });
                let by: Vec<&str> = sort.iter().map(String::as_str).collect();
                filled.by(query, &by)
            };
            let query = ask(10_000).counting();
            let expected = oracle::list(&filled.documents, &query);
            let page = filled.list(&query).await;
            assert_eq!(names(&page), expected, "batch {number}: {query:?} of {:#?}", filled.documents);
            assert_eq!((page.total, page.at), (Some(expected.len() as u64), Position(filled.at)));
            for row in &page.rows {
                assert_eq!(document(row), filled.documents[row.key.as_str()]);
            }
            assert_eq!(walk(&filled, ask, limit).await, expected, "batch {number}: {query:?} by {limit}");
        }
    }
}

#[test]
fn a_query_that_does_not_match_its_view_is_refused() {
    let view = Definition::of::<Things>().unwrap();
    let asked = |path: &str, test: Test| Query::all(1).filter(&view, path, test).unwrap_err();
    let number = || Value::Integer(1);
    assert!(
        matches!(asked("names", Test::Equal(number())), QueryError::UndeclaredField { known, .. } if known[0] == "name")
    );
    for (path, value) in [("name", number()), ("count", Value::Real(1.0)), ("price", number()), ("sold", number())] {
        for test in every_test(value.clone()).into_iter().chain([Test::In(vec![value])]) {
            assert!(matches!(asked(path, test), QueryError::WrongKind { .. }));
        }
    }
    for beyond in [i128::from(i64::MIN) - 1, i128::from(u64::MAX) + 1] {
        assert!(matches!(asked("count", Test::Less(Value::Integer(beyond))), QueryError::WrongKind { .. }));
        assert_eq!(Value::parse(Kind::Integer, &beyond.to_string()), None);
    }
    for no_number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(asked("price", Test::Less(Value::Real(no_number))), QueryError::WrongKind { .. }));
    }
    assert!(matches!(asked("count", Test::Prefix("1".to_owned())), QueryError::NoPrefix { .. }));
    assert!(matches!(asked("count", Test::In(vec![number(); 101])), QueryError::TooMany { most: 100, .. }));

    let by = |path: &str| Query::all(1).sort(&view, path, false).unwrap();
    assert!(matches!(by("name").sort(&view, "name", true).unwrap_err(), QueryError::SortedTwice { path: "name" }));
    let three = ["count", "price"].iter().fold(by("name"), |query, path| query.sort(&view, path, true).unwrap());
    assert!(matches!(three.sort(&view, "sold", true).unwrap_err(), QueryError::TooMany { most: 3, .. }));
    let full = (0..16).fold(by("name"), |query, _| query.filter(&view, "count", Test::Equal(number())).unwrap());
    let refused = full.filter(&view, "count", Test::Equal(number())).unwrap_err();
    assert!(matches!(refused, QueryError::TooMany { most: 16, .. }));

    let foreign = [
        (vec![], "a"),
        (vec![Some(Value::Text(String::new())), None], "a"),
        (vec![Some(number())], "a"),
        (vec![None], ""),
        (vec![None], "\0"),
    ];
    for (values, name) in foreign {
        let place = Behind { values, key: Key::from(name) };
        assert_eq!(by("name").after(place).unwrap_err(), QueryError::ForeignPlace);
    }
}

// Documents and queries, from few values each, so that queries match documents.

const INTEGERS: [i128; 13] = [
    i64::MIN as i128,
    -(1 << 53) - 1,
    -1,
    0,
    1,
    2,
    10,
    i64::MAX as i128,
    1 << 63,
    (1 << 63) + 1,
    9_999_999_999_999_999_999,
    10_000_000_000_000_000_000,
    u64::MAX as i128,
];
const REALS: [f64; 10] = [-1e308, -1.5, -0.0, 0.0, 5e-300, 0.1, 1.0, 2.0, 10.0, 1e308];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(&TEXTS[..]).prop_map(str::to_owned),
        2 => prop::sample::select(&["aa", "ab", "aä", "a\u{10ffff}", "\u{10ffff}\u{10ffff}"][..]).prop_map(str::to_owned),
        1 => "[^\0]{0,3}",
    ]
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Text => texts().prop_map(Value::Text).boxed(),
        Kind::Integer => prop::sample::select(&INTEGERS[..]).prop_map(Value::Integer).boxed(),
        Kind::Real => prop::sample::select(&REALS[..]).prop_map(Value::Real).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
    }
}

fn json(value: Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => whole(number),
        Value::Real(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[Kind::Text, Kind::Integer, Kind::Real, Kind::Boolean][..])
}

/// The content of a field in a document, if it has the field: rarely of another kind.
fn content(of: Kind) -> impl Strategy<Value = Option<Json>> {
    let other = prop_oneof![
        Just(json!({})),
        Just(json!(["a", 1])),
        Just(json!(18_446_744_073_709_551_616_f64)),
        Just(json!(1.5)),
        kind().prop_flat_map(value).prop_map(json).prop_filter("is of no kind", |json| json
            .as_f64()
            .is_none_or(|number| json.is_i64() || json.is_u64() || number.fract() != 0.0)),
    ];
    prop_oneof![
        12 => value(of).prop_map(json).prop_map(Some),
        2 => Just(None),
        1 => Just(Some(Json::Null)),
        1 => other.prop_map(Some),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-d]{1,2}", 1 => prop::sample::select(&TEXTS[1..]).prop_map(str::to_owned)]
}

fn any_document() -> impl Strategy<Value = Json> {
    let fields = Things::fields();
    let contents: Vec<_> = fields.iter().map(|field| content(field.kind).boxed()).collect();
    contents.prop_map(move |contents| {
        let mut document = json!({});
        for (field, content) in fields.iter().zip(contents) {
            if let Some(content) = content {
                put(&mut document, field.path, content);
            }
        }
        document
    })
}

fn test(kind: Kind) -> BoxedStrategy<Test> {
    let plain = (value(kind), 0..6_usize).prop_map(|(value, which)| every_test(value)[which].clone());
    let one_of = prop::collection::vec(value(kind), 0..4).prop_map(Test::In);
    match kind {
        Kind::Text => prop_oneof![4 => plain, 1 => one_of, 2 => texts().prop_map(Test::Prefix)].boxed(),
        _ => prop_oneof![4 => plain, 1 => one_of].boxed(),
    }
}

fn filter() -> impl Strategy<Value = (&'static str, Test)> {
    let fields: Vec<_> = Things::fields().iter().copied().collect();
    prop::sample::select(fields).prop_flat_map(|field| test(field.kind).prop_map(move |test| (field.path, test)))
}

/// Filters, sort fields, and the limit of a page.
fn any_query() -> impl Strategy<Value = (Vec<(&'static str, Test)>, Vec<String>, usize)> {
    let paths: Vec<_> = Things::fields().iter().map(|field| field.path).collect();
    let fields = prop::sample::subsequence(paths, 0..=3).prop_shuffle();
    let sort = (fields, any::<[bool; 3]>()).prop_map(|(fields, descend)| {
        let sign = |descends: bool| if descends { "-" } else { "" };
        fields.iter().zip(descend).map(|(field, descends)| format!("{}{field}", sign(descends))).collect()
    });
    (prop::collection::vec(filter(), 0..3), sort, 1..9_usize)
}

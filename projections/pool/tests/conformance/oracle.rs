//! The expected list, computed in another way than by any store.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use dormouse_projections::{Kind, Query, Test, Value};
use serde_json::Value as Json;

/// The keys of the documents that match the filters, in order.
pub(crate) fn list(documents: &BTreeMap<String, Json>, query: &Query) -> Vec<String> {
    let mut met: Vec<(&String, &Json)> = documents
        .iter()
        .filter(|(_, json)| query.filters().iter().all(|filter| meets(at(json, filter.field.path), &filter.test)))
        .collect();
    // From the last field to the first: the sort is stable.
    if query.keys_descend() {
        met.reverse();
    }
    for sort in query.sorted_by().iter().rev() {
        let (path, kind) = (sort.field.path, sort.field.kind);
        met.sort_by(|(_, one), (_, other)| {
            let order = rank(at(one, path), kind).partial_cmp(&rank(at(other, path), kind)).unwrap();
            if sort.is_descending { order.reverse() } else { order }
        });
    }
    met.into_iter().map(|(name, _)| name.clone()).collect()
}

fn at<'j>(document: &'j Json, path: &str) -> &'j Json {
    document.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Json::Null)
}

/// A value in the order of lists. Missing values come first.
#[derive(PartialEq, PartialOrd)]
enum Rank<'j> {
    Missing,
    Whole(i128),
    Fraction(f64),
    Bytes(&'j [u8]),
}

fn rank(json: &Json, kind: Kind) -> Rank<'_> {
    match (json, kind) {
        (Json::String(text), Kind::Text) => Rank::Bytes(text.as_bytes()),
        (Json::Number(number), Kind::Integer) => whole(number).map_or(Rank::Missing, Rank::Whole),
        (Json::Number(number), Kind::Real) => Rank::Fraction(number.as_f64().unwrap()),
        (Json::Bool(truth), Kind::Boolean) => Rank::Whole(i128::from(*truth)),
        _ => Rank::Missing,
    }
}

fn whole(number: &serde_json::Number) -> Option<i128> {
    number.as_i64().map(i128::from).or(number.as_u64().map(i128::from))
}

fn compare(json: &Json, than: &Value) -> Option<Ordering> {
    let (found, than) = match than {
        Value::Text(text) => (rank(json, Kind::Text), Rank::Bytes(text.as_bytes())),
        Value::Integer(number) => (rank(json, Kind::Integer), Rank::Whole(*number)),
        Value::Real(number) => (rank(json, Kind::Real), Rank::Fraction(*number)),
        Value::Boolean(truth) => (rank(json, Kind::Boolean), Rank::Whole(i128::from(*truth))),
    };
    if found == Rank::Missing { None } else { found.partial_cmp(&than) }
}

fn meets(json: &Json, test: &Test) -> bool {
    match test {
        Test::Equal(than) => compare(json, than) == Some(Ordering::Equal),
        Test::NotEqual(than) => compare(json, than) != Some(Ordering::Equal),
        Test::Less(than) => compare(json, than) == Some(Ordering::Less),
        Test::AtMost(than) => compare(json, than).is_some_and(|order| order != Ordering::Greater),
        Test::Greater(than) => compare(json, than) == Some(Ordering::Greater),
        Test::AtLeast(than) => compare(json, than).is_some_and(|order| order != Ordering::Less),
        Test::In(all) => all.iter().any(|than| compare(json, than) == Some(Ordering::Equal)),
        Test::Prefix(prefix) => json.as_str().is_some_and(|text| text.as_bytes().starts_with(prefix.as_bytes())),
    }
}
